// PostgreSQL that takes encrypted connections with a password, or a client certificate: by URL and by options, and what is said
// when it does not work.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openEngine } from '../../src/engine-of.ts'
import { type PostgresOptions, postgres } from '../../src/engines/postgres/engine.ts'
import { postgresDatabase } from '../../src/engines/postgres/index.ts'
import { authority } from '../servers/certificates.ts'
import { embeddedPostgres, type RunningServer } from '../servers/index.ts'
import { keepsSecrets, refusal, snippet, spillway } from './refusal.ts'

const missing = await embeddedPostgres.missing()

/** Everything that has a meaning in a URL, and more. */
const password = 'p@ss:w/ö?r#d %41&=+'
const secrets = [password]
const hba = `host postgres spillway 127.0.0.1/32 scram-sha-256
hostssl app app 127.0.0.1/32 scram-sha-256
hostssl app certified 127.0.0.1/32 cert
`

describe.skipIf(missing)(
  'postgres with TLS and passwords',
  () => {
    const ours = authority()
    const stranger = authority('Somebody Else')
    const client = ours.issue({ name: 'certified' })
    let server: RunningServer
    let elsewhere: RunningServer
    let folder: string

    beforeAll(async () => {
      const here = ours.issue({ name: 'here', hosts: ['127.0.0.1'] })
      const there = ours.issue({ name: 'there', hosts: ['db.example'] })
      folder = mkdtempSync(join(tmpdir(), 'spillway-tls-'))
      writeFileSync(join(folder, 'ca.pem'), ours.ca)
      writeFileSync(join(folder, 'stranger.pem'), stranger.ca)
      writeFileSync(join(folder, 'client.pem'), client.cert)
      writeFileSync(join(folder, 'client.key'), client.key)
      ;[server, elsewhere] = await Promise.all([started(here), started(there)])
    })
    afterAll(async () => {
      await Promise.all([server?.stop(), elsewhere?.stop()])
      rmSync(folder, { recursive: true })
    })

    async function started({
      cert,
      key,
    }: {
      readonly cert: string
      readonly key: string
    }): Promise<RunningServer> {
      const files = { 'server.crt': cert, 'server.key': key, 'ca.crt': ours.ca, 'pg_hba.conf': hba }
      const running = await embeddedPostgres.start({
        settings: { ssl: 'on', ssl_ca_file: 'ca.crt' },
        files,
      })
      const admin = new pg.Client({ connectionString: running.url })
      await admin.connect()
      await admin.query(`create role app login password '${password}'`)
      await admin.query('create role certified login')
      await admin.query('create database app owner app')
      await admin.query('grant create on database app to certified')
      await admin.end()
      return running
    }

    const at = (query = '', login = `app:${encodeURIComponent(password)}@`, running = server) =>
      `postgres://${login}127.0.0.1:${new URL(running.url).port}/app${query}`
    const file = (name: string) => encodeURIComponent(join(folder, name))
    const trusting = () => `?sslmode=verify-full&sslrootcert=${file('ca.pem')}`

    async function works(options: PostgresOptions): Promise<void> {
      const engine = await postgres({ ...options, schema: 'tls', poolSize: 2 })
      await engine.queue!.declare(['orders'])
      await engine.queue!.send('orders', [{ id: '1', body: '{}' }])
      expect(await engine.queue!.claim('orders', { limit: 1, leaseMs: 1_000, waitMs: 5_000 })).toHaveLength(1)
      keepsSecrets(engine.url, secrets)
      await engine.close()
    }

    test('by URL alone, with everything in the password that has a meaning there', async () => {
      const engine = await openEngine(at(trusting()))
      await engine.queue!.declare(['orders'])
      keepsSecrets(engine.url, secrets)
      await engine.close()
    })

    test('by options: the authority as a file, as text and as bytes, in place of what the url says', async () => {
      await works({ url: at(), tls: { ca: join(folder, 'ca.pem') } })
      await works({ url: at(`?sslrootcert=${file('stranger.pem')}`), tls: { ca: ours.ca } })
      await works({ url: at('?sslmode=disable'), tls: { ca: Buffer.from(ours.ca) } })
    })

    test('a client certificate in place of a password, by URL and by options', async () => {
      const query = `${trusting()}&sslcert=${file('client.pem')}&sslkey=${file('client.key')}`
      const schema = 'certified'
      await (await postgres({ url: at(query, 'certified@'), schema })).close()
      await (await postgres({ url: at('', 'certified@'), schema, tls: { ca: ours.ca, ...client } })).close()
    })

    test('the database of a service', async () => {
      const database = await postgresDatabase({ url: at(), tls: { ca: ours.ca } }).open('orders')
      await database.close()
      await expect(
        postgresDatabase({ url: at('?sslmode=verify-full') }).open('orders'),
      ).rejects.toMatchObject({
        code: 'ENGINE_UNAVAILABLE',
        message: expect.stringContaining('sslrootcert'),
      })
    })

    test('a certificate that was signed by nobody known', async () => {
      const says = /nobody whom this program trusts vouches.*certificate of its authority.*sslrootcert/
      await refusal(openEngine(at('?sslmode=verify-full')), { says, secrets })
      await refusal(openEngine(at(`?sslrootcert=${file('stranger.pem')}`)), { says, secrets })
      await refusal(postgres({ url: at(), tls: { ca: stranger.ca } }), { says, secrets })
    })

    test('a certificate for another host', async () => {
      const url = at(trusting(), undefined, elsewhere)
      await refusal(openEngine(url), {
        says: /for DNS:db\.example, and not for 127\.0\.0\.1\. Connect by a name/,
        secrets,
      })
      await works({ url: at('', undefined, elsewhere), tls: { ca: ours.ca, serverName: 'db.example' } })
    })

    test('a wrong password, and none', async () => {
      const says = /refused the login.*Check user and password/
      await refusal(openEngine(at(trusting(), 'app:not%20this@')), {
        says,
        secrets: [...secrets, 'not this'],
      })
      await refusal(openEngine(at(trusting(), 'app@')), { says: /asks for a password.*PGPASSWORD/, secrets })
    })

    test('plaintext where only encrypted connections are taken, and the reverse', async () => {
      await refusal(openEngine(at()), { says: /no encryption.*sslmode=verify-full/, secrets })
      await using plain = await embeddedPostgres.start({ settings: { fsync: 'off' } })
      await refusal(openEngine(`${plain.url}?sslmode=verify-full`), {
        says: /has no TLS.*sslmode=disable/,
        secrets: ['spillway:spillway'],
      })
    })

    test('a client certificate that is missing, or that the server does not trust', async () => {
      await refusal(openEngine(at(trusting(), 'certified@')), { says: /certificate.*sslcert/, secrets })
      const own = stranger.issue({ name: 'certified' })
      const opening = postgres({ url: at('', 'certified@'), tls: { ca: ours.ca, ...own } })
      await refusal(opening, { says: /certificate.*sslcert/s, secrets: [own.key.split('\n')[1]!] })
    })

    test('files that are not there or not what they should be are named before anybody is called', async () => {
      const code = 'INVALID_OPTION'
      await refusal(openEngine(at('?sslrootcert=/nowhere/ca.pem')), {
        code,
        says: /\/nowhere\/ca\.pem/,
        secrets,
      })
      await refusal(postgres({ url: at(), tls: { ca: 'spillway' } }), {
        code,
        says: /'spillway', which is not there/,
        secrets,
      })
      const oneLine = client.key.replaceAll('\n', ' ')
      await refusal(postgres({ url: at(), tls: { cert: client.cert, key: oneLine } }), {
        code,
        says: /key names no file/,
        secrets: [oneLine, client.key.split('\n')[1]!],
      })
      const another = ours.issue({ name: 'other' })
      await refusal(postgres({ url: at(), tls: { cert: client.cert, key: another.key } }), {
        code,
        says: /key values mismatch/,
        secrets,
      })
    })

    test.each(['12#secret', '12/secret', '12?secret', '12@se/cret', 'se%cret'])(
      'a password that is not encoded (%s) is refused, and not shown',
      async (raw) => {
        const url = `postgres://app:${raw}@127.0.0.1:5432/app`
        await refusal(openEngine(url), {
          code: 'INVALID_OPTION',
          says: /%40 for @|of the form/,
          secrets: [raw, 'cret', 'secret'],
        })
      },
    )

    test('as the page of the engine shows', () => {
      const variables = {
        DB_HOST: new URL(server.url).host,
        DB_PASSWORD: password,
        DB_CA: join(folder, 'ca.pem'),
      }
      expect(snippet('tls-postgres', variables)).toBe('true power-loss\n')
    })

    test.each([
      'app:secret@db',
      'postgre://app:secret@db',
      'postgres:app:secret@db',
      'mysql://app:se@cret@db',
    ])('what names no engine (%s) is not repeated with its password', async (url) => {
      await refusal(openEngine(url), {
        code: 'INVALID_OPTION',
        says: /postgres:\/\//,
        secrets: ['secret', 'cret'],
      })
    })

    test('the command line shows no password, whether it works or not', () => {
      const listed = spillway('queue', 'ls', '--engine', at(trusting()))
      expect(listed, listed.text).toMatchObject({ status: 0 })
      const untrusted = spillway('doctor', at('?sslmode=verify-full'))
      expect(untrusted.status).toBe(1)
      expect(untrusted.text).toContain('sslrootcert')
      const unencoded = spillway('queue', 'ls', '--engine', `postgres//app:${password}@127.0.0.1/app`)
      for (const { text } of [listed, untrusted, unencoded]) keepsSecrets(text, [password, 'p@ss', 'ss:w'])
    })
  },
  120_000,
)
