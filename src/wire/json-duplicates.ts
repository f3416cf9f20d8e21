/**
 * Finds a member that an object of JSON has twice: of the two `JSON.parse` takes the last one and says
 * nothing, so that a setting would be lost without a word.
 */

/** An array counts its items, an object remembers its names. */
interface Container {
  readonly names: Set<string> | undefined
  /** Where in it the text is: a name or a number. */
  at: string | number
  /** In an object: whether a string is the name of a member. */
  isName: boolean
}

const STRING = /"(?:[^"\\]|\\.)*"/y

/** A JSON pointer to the first such member; undefined if there is none. The text must be valid JSON. */
export function duplicateMember(text: string): string | undefined {
  // With one member there are no two of one name.
  if (text.indexOf(':') === text.lastIndexOf(':')) return undefined
  const open: Container[] = []
  for (let at = 0; at < text.length; at++) {
    const inner = open.at(-1)
    switch (text[at]) {
      case '{':
        open.push({ names: new Set(), at: '', isName: true })
        break
      case '[':
        open.push({ names: undefined, at: 0, isName: false })
        break
      case '}':
      case ']':
        open.pop()
        break
      case ',':
        if (inner === undefined) break
        if (typeof inner.at === 'number') inner.at++
        else inner.isName = true
        break
      case '"': {
        STRING.lastIndex = at
        const [quoted = '"'] = STRING.exec(text) ?? []
        at += quoted.length - 1
        if (inner?.isName !== true) break
        inner.isName = false
        inner.at = quoted.includes('\\') ? (JSON.parse(quoted) as string) : quoted.slice(1, -1)
        if (inner.names?.has(inner.at)) return open.map(pointerPart).join('')
        inner.names?.add(inner.at)
        break
      }
    }
  }
  return undefined
}

function pointerPart({ at }: Container): string {
  return `/${String(at).replaceAll('~', '~0').replaceAll('/', '~1')}`
}
