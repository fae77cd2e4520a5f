// NATS with TLS and every way to log in, on a current server and an old one: by URL and by options, and what is said when it does
// not work.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openEngine } from '../../src/engine-of.ts'
import { type NatsOptions, nats } from '../../src/engines/nats/engine.ts'
import { authority, type Certificate } from '../servers/certificates.ts'
import { nats as current, packagedNats, type RunningServer } from '../servers/index.ts'
import { signedUser } from './nats-accounts.ts'
import { keepsSecrets, refusal, snippet, spillway } from './refusal.ts'

const password = 'p@ss:w/ö?r#d %41'
const token = 't0ken@/?'
const secrets = [password, token]

for (const launcher of [current, packagedNats]) {
  const missing = await launcher.missing()
  describe.skipIf(missing)(
    `${launcher.name} with TLS and logins`,
    () => {
      const ours = authority()
      const stranger = authority('Somebody Else')
      const client = ours.issue({ name: 'client' })
      const signed = signedUser()
      let folder: string
      const servers = {} as Record<
        'login' | 'token' | 'elsewhere' | 'mutual' | 'plain' | 'signed',
        RunningServer
      >

      beforeAll(async () => {
        folder = mkdtempSync(join(tmpdir(), 'spillway-tls-'))
        put('ca.pem', ours.ca)
        put('stranger.pem', stranger.ca)
        put('user.creds', signed.creds)
        keep('client', client)
        keep('here', ours.issue({ name: 'here', hosts: ['127.0.0.1'] }))
        keep('there', ours.issue({ name: 'there', hosts: ['nats.example', 'localhost'] }))
        const tls = (name: string, more = '') =>
          `tls { cert_file: "${join(folder, `${name}.pem`)}", key_file: "${join(folder, `${name}.key`)}" ${more} }`
        const start = (...lines: readonly string[]) => launcher.start({ lines, sync: 'interval' })
        servers.login = await start(
          tls('here'),
          `authorization { users: [ ${['me:x', 'app'].map((user) => JSON.stringify({ user, password })).join()} ] }`,
        )
        servers.token = await start(tls('here'), `authorization { token: ${JSON.stringify(token)} }`)
        servers.elsewhere = await start(tls('there'))
        servers.mutual = await start(tls('here', `, ca_file: "${join(folder, 'ca.pem')}", verify: true`))
        servers.plain = await start()
        servers.signed = await start(tls('here'), ...signed.lines)
      })
      afterAll(async () => {
        await Promise.all(Object.values(servers).map((server) => server.stop()))
        rmSync(folder, { recursive: true })
      })

      const put = (name: string, text: string) => writeFileSync(join(folder, name), text)
      const keep = (name: string, { cert, key }: Certificate) => {
        put(`${name}.pem`, cert)
        put(`${name}.key`, key)
      }
      const file = (name: string) => encodeURIComponent(join(folder, name))
      const at = (server: RunningServer, login = '', query = '') =>
        `nats://${login}127.0.0.1:${new URL(server.url).port}${query}`
      const me = `me%3Ax:${encodeURIComponent(password)}@`
      const trusting = () => `?tls=true&ca=${file('ca.pem')}`

      async function works(options: NatsOptions): Promise<void> {
        const engine = await nats({ timeoutMs: 5_000, ...options })
        await engine.queue!.declare(['orders'])
        keepsSecrets(engine.url, secrets)
        await engine.close()
      }

      test('user and password with all that has a meaning in a URL, by URL alone and by options', async () => {
        await (await openEngine(at(servers.login, me, trusting()))).close()
        await works({ url: at(servers.login), user: 'me:x', password, tls: { ca: ours.ca } })
      })

      test('a token', async () => {
        await works({ url: at(servers.token, `${encodeURIComponent(token)}@`, trusting()) })
        await works({ url: at(servers.token), token, tls: { ca: join(folder, 'ca.pem') } })
      })

      test('credentials that an operator signed: a file, or their text', async () => {
        await works({ url: at(servers.signed, '', `${trusting()}&creds=${file('user.creds')}`) })
        await works({ url: at(servers.signed), creds: signed.creds, tls: { ca: ours.ca } })
        const says = /refused the login.*Check the login/
        const of = signedUser()
        await refusal(nats({ url: at(servers.signed), creds: of.creds, tls: { ca: ours.ca } }), {
          says,
          secrets: [of.creds.slice(40, 90)],
        })
      })

      test('a client certificate, and what is said without it', async () => {
        await works({
          url: at(servers.mutual, '', `${trusting()}&cert=${file('client.pem')}&key=${file('client.key')}`),
        })
        await works({ url: at(servers.mutual), tls: { ca: ours.ca, ...client } })
        await refusal(nats({ url: at(servers.mutual, '', trusting()), timeoutMs: 1_500 }), {
          says: /may want the certificate of this program|does not accept the certificate/,
          retryable: true,
          secrets,
        })
      })

      test('a certificate that was signed by nobody known', async () => {
        const says = /nobody whom this program trusts vouches.*certificate of its authority.*\?ca=/
        await refusal(openEngine(at(servers.login, me)), { says, secrets })
        await refusal(openEngine(at(servers.login, me, `?ca=${file('stranger.pem')}`)), { says, secrets })
      })

      test('a certificate for another host', async () => {
        // The client library alone would look for 'localhost' in the certificate of whoever is reached by number.
        const says = /for DNS:nats\.example, DNS:localhost, and not for 127\.0\.0\.1\. Connect by a name/
        await refusal(openEngine(at(servers.elsewhere, '', trusting())), { says, secrets })
        await works({ url: at(servers.elsewhere, '', trusting()).replace('127.0.0.1', 'localhost') })
        await works({ url: at(servers.elsewhere), tls: { ca: ours.ca, serverName: 'nats.example' } })
      })

      test('a wrong password, a wrong token, and none', async () => {
        const says = /refused the login.*Check the login/
        await refusal(openEngine(at(servers.login, 'me%3Ax:not%20this@', trusting())), {
          says,
          secrets: ['not this'],
        })
        await refusal(openEngine(at(servers.token, 'not-that@', trusting())), { says, secrets: ['not-that'] })
        await refusal(openEngine(at(servers.login, '', trusting())), { says, secrets })
      })

      test('plaintext where only encrypted connections are taken, and the reverse', async () => {
        await refusal(openEngine(at(servers.login, me, '?tls=false')), {
          says: /encrypted connections only.*tls=true/,
          secrets,
        })
        await refusal(openEngine(at(servers.plain, me, trusting())), { says: /has no TLS/, secrets })
      })

      test('what cannot be is said before anybody is called', async () => {
        const code = 'INVALID_OPTION'
        const url = at(servers.login)
        await refusal(openEngine(at(servers.login, '', '?tls=yes')), { code, says: /true or false/, secrets })
        await refusal(openEngine(at(servers.login, '', '?ca=/nowhere/ca.pem')), {
          code,
          says: /\/nowhere\/ca\.pem/,
          secrets,
        })
        const seed = signed.creds.split('\n')[5]!
        await refusal(nats({ url, nkey: `"${seed}"` }), { code, says: /nkey names no file/, secrets: [seed] })
        await refusal(openEngine('nats://me:12?secret@127.0.0.1'), {
          code,
          says: /no parameter of that name/,
          secrets: ['secret'],
        })
      })

      test('as the page of the engine shows', () => {
        const { host } = new URL(servers.login.url)
        const variables = { NATS_HOST: host, NATS_PASSWORD: password, NATS_CA: join(folder, 'ca.pem') }
        expect(snippet('tls-nats', variables)).toBe('true process\n')
      })

      test('the command line shows no password, whether it works or not', () => {
        const listed = spillway('queue', 'ls', '--engine', at(servers.login, me, trusting()))
        expect(listed, listed.text).toMatchObject({ status: 0 })
        const untrusted = spillway('doctor', at(servers.login, me))
        expect(untrusted.status).toBe(1)
        expect(untrusted.text).toContain('ca=')
        for (const { text } of [listed, untrusted]) keepsSecrets(text, secrets)
      })
    },
    120_000,
  )
}
