import { open } from 'spillway'
import { postgres } from 'spillway/postgres'

// By URL alone: postgres://app:p%40ss@db.example/app?sslmode=verify-full&sslrootcert=/etc/spillway/ca.pem
const { DB_HOST = 'db.example', DB_PASSWORD = '', DB_CA = '/etc/spillway/ca.pem' } = process.env
const url = new URL(`postgres://app@${DB_HOST}/app`)
url.password = encodeURIComponent(DB_PASSWORD) // whatever is in it
const engine = await postgres({ url: url.href, tls: { ca: DB_CA } })
await using spillway = await open(engine)
console.log(engine.url === `postgres://app@${DB_HOST}/app`, spillway.durability.level) // true power-loss
