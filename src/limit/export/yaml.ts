// Plain values as lines of YAML. Texts are in quotes, so that none is taken for something else.

export function yamlOf(value: unknown, indent = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => item0(yamlOf(item, `${indent}  `), indent))
  if (typeof value !== 'object' || value === null) return [`${indent}${JSON.stringify(value)}`]
  return Object.entries(value).flatMap(([name, each]) => {
    const key = /^[a-z_][a-z0-9_]*$/.test(name) ? name : JSON.stringify(name)
    if (typeof each !== 'object' || each === null) return [`${indent}${key}: ${JSON.stringify(each)}`]
    return [`${indent}${key}:`, ...yamlOf(each, `${indent}  `)]
  })
}

function item0(lines: readonly string[], indent: string): string[] {
  const [first = '', ...rest] = lines
  return [`${indent}- ${first.trimStart()}`, ...rest]
}
