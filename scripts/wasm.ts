/** Assembles `src/wire/json-skim.wat`; the code is kept in the repository, so that running from it needs no build. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import wabt from 'wabt'

const WIRE = join(import.meta.dirname, '..', 'src', 'wire')
const LINE_CHARACTERS = 96

/** What `src/wire/json-skim-code.ts` should hold. */
export async function jsonSkimCode(): Promise<string> {
  const name = 'json-skim.wat'
  const { parseWat } = await wabt()
  const module = parseWat(name, readFileSync(join(WIRE, name), 'utf8'))
  try {
    module.validate()
    const code = Buffer.from(module.toBinary({}).buffer).toString('base64')
    const lines = code.match(new RegExp(`.{1,${LINE_CHARACTERS}}`, 'g')) ?? []
    return [
      `/** \`${name}\`, assembled by \`npm run wasm\`: not to be edited. */`,
      'export const JSON_SKIM_CODE: string = [',
      ...lines.map((line) => `  '${line}',`),
      "].join('')",
      '',
    ].join('\n')
  } finally {
    module.destroy()
  }
}

if (import.meta.main) writeFileSync(join(WIRE, 'json-skim-code.ts'), await jsonSkimCode())
