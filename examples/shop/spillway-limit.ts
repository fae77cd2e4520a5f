// The limits of Spillway as this example sees them. In a project of your own this is the import 'spillway/limit'.
export * from '../../src/limit/index.ts'
