// Prisma's own client on its own driver adapter, without the code that its generator would write for models: raw statements need none.
import { PrismaPg } from '@prisma/adapter-pg'
import * as runtime from '@prisma/client/runtime/client'

export interface PrismaRaw {
  $executeRawUnsafe(text: string, ...values: unknown[]): Promise<number>
  $queryRawUnsafe(text: string, ...values: unknown[]): Promise<unknown[]>
}

export interface PrismaClient extends PrismaRaw {
  $transaction<Result>(work: (tx: PrismaRaw) => Promise<Result>): Promise<Result>
  $disconnect(): Promise<void>
}

const { WebAssembly } = globalThis as unknown as {
  WebAssembly: { Module: new (bytes: Uint8Array) => object }
}
const wasm = '@prisma/client/runtime/query_compiler_fast_bg.postgresql'

export function prismaClient(url: string): PrismaClient {
  const Client = runtime.getPrismaClient({
    previewFeatures: [],
    clientVersion: '7.10.0',
    engineVersion: '0edf323efd1d98336f3f0a68684b56f689b900d3',
    activeProvider: 'postgresql',
    inlineSchema: 'datasource db {\n  provider = "postgresql"\n}\n',
    runtimeDataModel: { models: {}, enums: {}, types: {} },
    parameterizationSchema: { strings: [], graph: 'AAAA' },
    compilerWasm: {
      getRuntime: () => import(`${wasm}.mjs`),
      async getQueryCompilerWasmModule() {
        const { wasm: base64 } = (await import(`${wasm}.wasm-base64.mjs`)) as { wasm: string }
        return new WebAssembly.Module(Buffer.from(base64, 'base64'))
      },
      importName: './query_compiler_fast_bg.js',
    },
  } as unknown as Parameters<typeof runtime.getPrismaClient>[0])
  return new (Client as unknown as new (options: object) => PrismaClient)({
    adapter: new PrismaPg({ connectionString: url }),
  })
}
