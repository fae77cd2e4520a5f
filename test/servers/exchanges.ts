/** The smallest real use of each kind of server: write one value so that it is kept, and read the last one back. */
import { Admin, Consumer, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka'
import pg from 'pg'
import { ask } from './ask.ts'
import type { RunningServer } from './launcher.ts'

export interface Exchange {
  write(server: RunningServer, value: string): Promise<void>
  read(server: RunningServer): Promise<string | undefined>
}

const postgres: Exchange = {
  async write(server, value) {
    await query(server, 'create table if not exists kept (id serial, value text)')
    await query(server, 'insert into kept (value) values ($1)', [value])
  },
  async read(server) {
    return (await query(server, 'select value from kept order by id desc limit 1'))[0]?.value
  },
}

async function query(server: RunningServer, text: string, values: string[] = []) {
  const client = new pg.Client({ connectionString: server.url })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<{ value: string }>(text, values)).rows
  } finally {
    await client.end()
  }
}

const kafka: Exchange = {
  async write(server, value) {
    const admin = new Admin(kafkaClient(server))
    const producer = new Producer({ ...kafkaClient(server), serializers: stringSerializers })
    try {
      const topics = await admin.listTopics()
      if (!topics.includes('kept')) await admin.createTopics({ topics: ['kept'], partitions: 1, replicas: 1 })
      await producer.send({ messages: [{ topic: 'kept', value }], acks: -1 })
    } finally {
      await Promise.all([admin.close(), producer.close()])
    }
  },
  async read(server) {
    const consumer = new Consumer({
      ...kafkaClient(server),
      groupId: crypto.randomUUID(),
      deserializers: stringDeserializers,
    })
    try {
      const offsets = await consumer.listOffsets({ topics: ['kept'] })
      const end = offsets.get('kept')?.[0] ?? 0n
      const stream = await consumer.consume({ topics: ['kept'], mode: 'earliest', autocommit: false })
      for await (const message of stream) if (message.offset === end - 1n) return message.value
      return undefined
    } finally {
      await consumer.close(true)
    }
  },
}

function kafkaClient(server: RunningServer) {
  return { clientId: 'exchange', bootstrapBrokers: [new URL(server.url).host], retries: 3, retryDelay: 100 }
}

const redis: Exchange = {
  async write(server, value) {
    await ask(portOf(server), `PING\r\nSET kept "${value}"\r\n`, /^\+PONG\r\n\+OK\r\n/)
  },
  async read(server) {
    return /^\$\d+\r\n(.*)\r\n/.exec(await ask(portOf(server), 'GET kept\r\n', /^\$.*\r\n.*\r\n/))?.[1]
  },
}

const nats: Exchange = {
  async write(server, value) {
    const stream = { name: 'KEPT', subjects: ['kept'], storage: 'file' }
    await natsRequest(server, '$JS.API.STREAM.CREATE.KEPT', JSON.stringify(stream))
    await natsRequest(server, 'kept', value)
  },
  async read(server) {
    const answer = await natsRequest(server, '$JS.API.STREAM.MSG.GET.KEPT', '{"last_by_subj":"kept"}')
    const { message } = answer as { message?: { data: string } }
    return message && Buffer.from(message.data, 'base64').toString()
  },
}

async function natsRequest(server: RunningServer, subject: string, body: string): Promise<object> {
  const hello = 'CONNECT {"verbose":false}\r\nSUB inbox 1\r\n'
  const request = `PUB ${subject} inbox ${body.length}\r\n${body}\r\n`
  const answer = await ask(portOf(server), hello + request, /^INFO (.|\n)*\r\nMSG inbox 1 +\d+\r\n.*\r\n/)
  const parsed = JSON.parse(/MSG inbox 1 +\d+\r\n(.*)\r\n/.exec(answer)?.[1] ?? '') as { error?: object }
  if (parsed.error !== undefined) throw new Error(JSON.stringify(parsed.error))
  return parsed
}

function portOf(server: RunningServer): number {
  return Number(new URL(server.url).port)
}

/** By the scheme of the server's URL. */
export const exchanges: Readonly<Record<string, Exchange>> = { postgres, kafka, redis, nats }
