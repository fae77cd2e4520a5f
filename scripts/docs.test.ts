import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { engines, outOfDate, withSnippets } from './docs.ts'

test('every code block and every reference page is as its source', () => {
  expect(outOfDate()).toEqual([])
})

test('a page that only names a file gets its code, and a block that drifted is put right', () => {
  const file = 'docs/snippets/pointer-owner.ts'
  const named = `Before.\n\n<!-- from: ${file} -->\n\nAfter, with \`\`\`ts\n\`\`\` of its own.`
  const filled = withSnippets(named)
  const code = readFileSync(file, 'utf8').trimEnd()
  expect(filled).toBe(named.replace('-->', () => `-->\n\n\`\`\`ts\n${code}\n\`\`\``))
  expect(withSnippets(filled.replace('gone', 'went'))).toBe(filled)
})

const template = [
  'What it gives',
  'Capabilities',
  'Setting it up',
  'What it promises',
  'When something fails',
  'Limits',
  'Operating it',
  'When to choose it',
]

test('every engine has a page on the one template, with its capabilities, and is in the index', () => {
  const pages = readdirSync('docs/engines').filter((file) => file.endsWith('.md'))
  expect(pages.sort()).toEqual(engines.map((engine) => `${engine}.md`).sort())
  const index = readFileSync('docs/README.md', 'utf8')
  for (const engine of engines) {
    const page = readFileSync(`docs/engines/${engine}.md`, 'utf8')
    expect([...page.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading)).toEqual(template)
    expect(page).toContain(`<!-- capabilities: ${engine} -->`)
    expect(index).toContain(`(engines/${engine}.md)`)
  }
})

test('the index names every page, and links lead to files that there are', () => {
  const index = readFileSync('docs/README.md', 'utf8')
  const pages = readdirSync('docs', { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.md'),
  )
  const missing = pages.filter((page) => page !== 'README.md' && !index.includes(`(${page})`))
  expect(missing).toEqual([])
  const links = pages.flatMap((page) =>
    [...readFileSync(`docs/${page}`, 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)].map(
      ([, link]) => new URL(link!, `file:///docs/${page}`).pathname.slice(1),
    ),
  )
  const files = new Set(
    readdirSync('.', { recursive: true, encoding: 'utf8' }).filter(
      (file) => !file.startsWith('node_modules'),
    ),
  )
  expect(links.filter((link) => !files.has(link.replace(/\/$/, '')))).toEqual([])
})
