/** The bytes that are published: 1 KiB records that look like somebody's, in every shape a route takes. */

/** In every record exactly once and nowhere else, so that a sink counts events by this one byte. */
export const EVENT_MARK = '~'
export const RECORD_BYTES = 1024
export const BATCH_RECORDS = 100

const WORDS = 'curlew dunlin sanderling whimbrel plover turnstone redshank knot avocet stint'.split(
  ' ',
)

/** A JSON object of exactly 1,024 bytes: a few short fields and a text, the same for the same number. */
export function jsonRecord(number: number): string {
  const head = `{"id":${number},"mark":"${EVENT_MARK}","station":"${word(number)}","celsius":12.0,"flags":[true,false,null],"text":"`
  let text = ''
  for (let index = number; text.length < RECORD_BYTES; index += 3) text += `${word(index)} `
  return `${head}${text.slice(0, RECORD_BYTES - head.length - 2)}"}`
}

/** Bytes that are not UTF-8, as an opaque payload is. */
export function rawPayload(bytes: number): Buffer {
  const payload = Buffer.alloc(bytes)
  for (let index = 0; index < bytes; index++) payload[index] = (index * 167 + 13) & 0xff
  return payload
}

export function ndjsonBatch(records: number): string {
  return numbers(records)
    .map((number) => `{"value":${jsonRecord(number)}}\n`)
    .join('')
}

export function jsonBatch(records: number): string {
  const members = numbers(records).map((number) => `{"value":${jsonRecord(number)}}`)
  return `{"records":[${members.join(',')}]}`
}

function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index)
}

function word(index: number): string {
  return WORDS[index % WORDS.length] as string
}
