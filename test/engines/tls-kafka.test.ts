// Kafka with TLS and SASL: by URL and by options, and what is said when it does not work.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openEngine } from '../../src/engine-of.ts'
import { type KafkaOptions, kafka } from '../../src/engines/kafka/engine.ts'
import { authority } from '../servers/certificates.ts'
import { freePort } from '../servers/free-port.ts'
import { type RunningServer, kafka as server } from '../servers/index.ts'
import { keepsSecrets, refusal, snippet, spillway } from './refusal.ts'

const missing = await server.missing()
/** Without quotes, commas and brackets, which the broker's own configuration gives a meaning. */
const password = 'p@ss:w/o?r#d%41&+'
const secrets = [password]
const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const

describe.skipIf(missing)(
  'kafka with TLS and SASL',
  () => {
    const ours = authority()
    const stranger = authority('Somebody Else')
    const client = ours.issue({ name: 'client' })
    const ports = { tls: 0, mutual: 0, login: 0, elsewhere: 0, plain: 0 }
    let running: RunningServer
    let folder: string

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'spillway-tls-'))
      const here = ours.issue({ name: 'here', hosts: ['127.0.0.1'] })
      const there = ours.issue({ name: 'there', hosts: ['kafka.example'] })
      const files = {
        ca: ours.ca,
        stranger: stranger.ca,
        here: here.key + here.cert,
        there: there.key + there.cert,
      }
      for (const [name, text] of Object.entries({ ...files, client: client.cert, clientKey: client.key }))
        writeFileSync(join(folder, `${name}.pem`), text)
      for (const name of ['tls', 'mutual', 'login', 'elsewhere'] as const) ports[name] = await freePort()
      const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule required;'
      running = await server.start({
        listeners: {
          TLS: { port: ports.tls, protocol: 'SSL' },
          MUTUAL: { port: ports.mutual, protocol: 'SSL' },
          ELSEWHERE: { port: ports.elsewhere, protocol: 'SSL' },
          LOGIN: { port: ports.login, protocol: 'SASL_SSL' },
        },
        scram: ['SCRAM-SHA-256', 'SCRAM-SHA-512'].map((how) => `${how}=[name=app,password=${password}]`),
        settings: {
          'ssl.keystore.type': 'PEM',
          'ssl.keystore.location': join(folder, 'here.pem'),
          'ssl.truststore.type': 'PEM',
          'ssl.truststore.location': join(folder, 'ca.pem'),
          'listener.name.mutual.ssl.client.auth': 'required',
          'listener.name.elsewhere.ssl.keystore.type': 'PEM',
          'listener.name.elsewhere.ssl.keystore.location': join(folder, 'there.pem'),
          'sasl.enabled.mechanisms': mechanisms.join(),
          'listener.name.login.plain.sasl.jaas.config': `org.apache.kafka.common.security.plain.PlainLoginModule required user_app="${password}";`,
          'listener.name.login.scram-sha-256.sasl.jaas.config': scram,
          'listener.name.login.scram-sha-512.sasl.jaas.config': scram,
        },
      })
      ports.plain = Number(new URL(running.url).port)
    })
    afterAll(async () => {
      await running?.stop()
      rmSync(folder, { recursive: true })
    })

    const me = `app:${encodeURIComponent(password)}@`
    const file = (name: string) => encodeURIComponent(join(folder, `${name}.pem`))
    const trusting = (more = '') => `?tls=true&ca=${file('ca')}${more}`
    const at = (name: keyof typeof ports, login = '', query = '') =>
      `kafka://${login}127.0.0.1:${ports[name]}${query}`

    async function works(options: KafkaOptions, stream: string): Promise<void> {
      const engine = await kafka(options)
      await engine.stream!.declare({ name: stream, partitions: 1 })
      await engine.stream!.append(stream, [{ key: undefined, body: '{}', partition: 0 }])
      keepsSecrets(engine.url, secrets)
      await engine.close()
    }

    test('TLS by URL alone and by options', async () => {
      await (await openEngine(at('tls', '', trusting()))).close()
      await works({ url: at('tls'), tls: { ca: ours.ca } }, 'by-options')
    })

    test.each(mechanisms)(
      'SASL/%s over TLS, by URL alone and by options; and a wrong password',
      async (mechanism) => {
        await works(
          { url: at('login', me, trusting(`&sasl=${mechanism.toLowerCase()}`)) },
          `by-url-${mechanism}`,
        )
        const sasl = { mechanism, username: 'app', password }
        await (await kafka({ url: at('login'), tls: { ca: ours.ca }, sasl })).close()
        const url = at('login', 'app:not%20this@', trusting(`&sasl=${mechanism}`))
        const says = new RegExp(`refused the login.*${mechanism}.*Check user and password`)
        await refusal(openEngine(url), { says, secrets: ['not this'] })
      },
    )

    test('a client certificate, and what is said without it', async () => {
      await (
        await openEngine(at('mutual', '', trusting(`&cert=${file('client')}&key=${file('clientKey')}`)))
      ).close()
      await (await kafka({ url: at('mutual'), tls: { ca: ours.ca, ...client } })).close()
      await refusal(openEngine(at('mutual', '', trusting())), {
        says: /certificate of this program.*cert=/,
        secrets,
      })
    })

    test('a certificate that was signed by nobody known', async () => {
      const says = /nobody whom this program trusts vouches.*certificate of its authority.*\?ca=/
      await refusal(openEngine(at('login', me, '?tls=true')), { says, secrets })
      await refusal(openEngine(at('login', me, `?ca=${file('stranger')}`)), { says, secrets })
    })

    test('a certificate for another host', async () => {
      const says = /for DNS:kafka\.example, and not for 127\.0\.0\.1\. Connect by a name/
      await refusal(openEngine(at('elsewhere', '', trusting())), { says, secrets })
      await (await kafka({ url: at('elsewhere'), tls: { ca: ours.ca, serverName: 'kafka.example' } })).close()
    })

    test('no login where one is asked for, and the reverse', async () => {
      await refusal(openEngine(at('login', '', trusting())), {
        says: /expects to log in/,
        retryable: true,
        secrets,
      })
      await refusal(openEngine(at('tls', me, trusting())), { says: /does not take SASL\/PLAIN/, secrets })
    })

    test('plaintext where only encrypted connections are taken, and the reverse', async () => {
      await refusal(openEngine(at('tls')), { says: /encrypted connections only.*tls=true/, secrets })
      await refusal(openEngine(at('login', me)), { says: /tls=true/, retryable: true, secrets })
      await refusal(openEngine(at('plain', '', trusting())), {
        says: /does not speak TLS/,
        retryable: true,
        secrets,
      })
    })

    test('what cannot be is said before anybody is called', async () => {
      const code = 'INVALID_OPTION'
      await refusal(openEngine(at('tls', '', '?ca=/nowhere/ca.pem')), {
        code,
        says: /\/nowhere\/ca\.pem/,
        secrets,
      })
      await refusal(openEngine(at('login', me, '?sasl=md5')), { code, says: /PLAIN, SCRAM-SHA-256/, secrets })
      await refusal(openEngine('kafka://app:12?secret@127.0.0.1'), {
        code,
        says: /no parameter of that name/,
        secrets: ['secret'],
      })
    })

    test('as the page of the engine shows', () => {
      const host = `127.0.0.1:${ports.login}`
      const variables = { KAFKA_HOST: host, KAFKA_PASSWORD: password, KAFKA_CA: join(folder, 'ca.pem') }
      expect(snippet('tls-kafka', variables)).toBe('true process\n')
    })

    test('the command line shows no password, whether it works or not', () => {
      const listed = spillway('stream', 'ls', '--engine', at('login', me, trusting()))
      expect(listed, listed.text).toMatchObject({ status: 0 })
      const untrusted = spillway('doctor', at('login', me, '?tls=true'))
      expect(untrusted.status).toBe(1)
      expect(untrusted.text).toContain('ca=')
      for (const { text } of [listed, untrusted]) keepsSecrets(text, secrets)
    })
  },
  120_000,
)
