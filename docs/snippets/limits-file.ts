import { rename, writeFile } from 'node:fs/promises'
import { limits, loadRules, watchRules } from 'spillway/limit'

const write = async (rules: string) => {
  await writeFile('limits.new', rules)
  await rename('limits.new', 'limits.yaml')
}
const next = () => Promise.withResolvers<string>()
let told = next()
const serving = setInterval(() => {}, 1_000) // in place of a server: a file that is watched keeps no process alive

// In shadow: it counts what it would refuse, and refuses nothing.
await write('rules: { posts: { atMost: 2, per: day, by: user, shadow: true } }')
const bounds = limits({ rules: await loadRules('limits.yaml') })
const watched = watchRules('limits.yaml', bounds, {
  every: '20ms',
  onReload: () => told.resolve('other rules'),
  onRefused: (error) => told.resolve(error.message),
})
for (let time = 1; time <= 3; time++) console.log(bounds.decide({ user: 'ann' }).allowed)
console.log(bounds.counts().map(({ rule, allowed, refused }) => ({ rule, allowed, refused })))

// A file that does not hold changes nothing.
await write('rules:\n  posts: { atMost: 0, per: day, by: user }')
console.log(await told.promise)

// Enforced: what was counted stays counted.
told = next()
await write('rules: { posts: { atMost: 2, per: day, by: user } }')
console.log(await told.promise, bounds.decide({ user: 'ann' }).allowed)
watched.close()
clearInterval(serving)
