/** The names of the members of each object at one depth of valid JSON, repeated ones too. */

/** With `under`, only objects that are the value of a member of such a name. */
export function memberNames(json: string, depth: number, under?: readonly string[]): string[][] {
  const found: string[][] = []
  let at = 0
  const space = () => {
    while (/\s/.test(json[at] ?? '')) at++
  }
  const string = (): string => {
    const start = at++
    while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1
    return JSON.parse(json.slice(start, ++at)) as string
  }
  const value = (level: number, name: string) => {
    space()
    const open = json[at]
    if (open === '"') string()
    else if (open !== '{' && open !== '[') while (/[^\s,\]}]/.test(json[at] ?? ' ')) at++
    else {
      at++
      const names: string[] = []
      for (space(); json[at] !== '}' && json[at] !== ']'; space()) {
        if (json[at] === ',') at++
        space()
        if (open === '{') {
          names.push(string())
          space()
          at++
        }
        value(level + 1, names.at(-1) ?? '')
      }
      at++
      if (open === '{' && level === depth && (under?.includes(name) ?? true)) found.push(names)
    }
  }
  value(0, '')
  return found
}
