// Spillway as this example sees it. In a project of your own these are the imports 'spillway' and 'spillway/sqlite'.
export { sqliteDatabase } from '../../src/engines/sqlite/index.ts'
export * from '../../src/index.ts'
