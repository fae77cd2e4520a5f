/**
 * Certificates for tests, made when they are needed: an authority, and what it vouches for. X.509 v3 in DER (RFC 5280), with keys on
 * the curve P-256, by what Node has: no other program, and no package.
 */
import { generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIPv4 } from 'node:net'

export interface Certificate {
  /** Both in PEM; the key in PKCS #8. */
  readonly cert: string
  readonly key: string
}

export interface Subject {
  readonly name: string
  /** What it is called in a network: names and IPv4 addresses. None: it is a client. */
  readonly hosts?: readonly string[]
  /** In days from now. Default: from yesterday until tomorrow. */
  readonly valid?: readonly [from: number, until: number]
}

export interface Authority {
  /** Its own certificate, in PEM: whoever has it trusts what it has issued. */
  readonly ca: string
  issue(subject: Subject): Certificate
}

/** A new one, whom nobody trusts so far. */
export function authority(name = 'Test Authority'): Authority {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issuer = { name, key: keys.privateKey }
  return {
    ca: pem('CERTIFICATE', certificate({ name }, keys.publicKey, issuer, true)),
    issue(subject) {
      const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      return {
        cert: pem('CERTIFICATE', certificate(subject, own.publicKey, issuer, false)),
        key: own.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      }
    },
  }
}

const oid = {
  ecdsaWithSha256: '2a8648ce3d040302',
  commonName: '550403',
  basicConstraints: '551d13',
  subjectAltName: '551d11',
} as const

function certificate(
  { name, hosts = [], valid = [-1, 1] }: Subject,
  key: KeyObject,
  issuer: { readonly name: string; readonly key: KeyObject },
  isAuthority: boolean,
): Buffer {
  const algorithm = sequence(object(oid.ecdsaWithSha256))
  const extensions = [
    sequence(
      object(oid.basicConstraints),
      boolean(true),
      octets(sequence(...(isAuthority ? [boolean(true)] : []))),
    ),
    ...(hosts.length === 0
      ? []
      : [sequence(object(oid.subjectAltName), octets(sequence(...hosts.map(generalName))))]),
  ]
  const body = sequence(
    tagged(0xa0, integer(Buffer.of(2))),
    integer(Buffer.concat([Buffer.of(1), randomBytes(15)])),
    algorithm,
    nameOf(issuer.name),
    sequence(...valid.map(time)),
    nameOf(name),
    key.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions)),
  )
  return sequence(body, algorithm, bits(sign('sha256', body, issuer.key)))
}

function nameOf(text: string): Buffer {
  const pair = sequence(object(oid.commonName), tagged(0x0c, Buffer.from(text)))
  return sequence(tagged(0x31, pair))
}

function generalName(host: string): Buffer {
  return isIPv4(host)
    ? tagged(0x87, Buffer.from(host.split('.').map(Number)))
    : tagged(0x82, Buffer.from(host))
}

function time(days: number): Buffer {
  const text = new Date(Date.now() + days * 86_400_000).toISOString().replace(/[-:T]|\.\d+/g, '')
  return tagged(0x17, Buffer.from(text.slice(2)))
}

const sequence = (...parts: readonly Buffer[]) => tagged(0x30, Buffer.concat(parts))
const object = (hex: string) => tagged(0x06, Buffer.from(hex, 'hex'))
const boolean = (value: boolean) => tagged(0x01, Buffer.of(value ? 0xff : 0))
const integer = (value: Buffer) => tagged(0x02, value)
const octets = (value: Buffer) => tagged(0x04, value)
const bits = (value: Buffer) => tagged(0x03, Buffer.concat([Buffer.of(0), value]))

function tagged(tag: number, value: Buffer): Buffer {
  const { length } = value
  const head = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.of(tag, ...head), value])
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`
}
