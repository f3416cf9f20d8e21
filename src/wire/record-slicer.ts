/**
 * Turns one record of a produce request into what a batch takes, by cutting bytes out of its JSON.
 * Nothing is ignored: every member that is unknown, repeated or wrong is a fault with a pointer.
 */
import { LIMITS } from '../core/limits.ts'
import type { Media, RecordHeader } from '../core/record.ts'
import { CONTENT_TYPE_HEADER, MEDIA } from '../core/record.ts'
import type { FaultDetail } from '../lib/service-error.ts'
import { HeaderSlicer } from './header-slicer.ts'
import { pointerToken } from './json-pointer.ts'
import { JSON_BYTE, JsonScanner } from './json-scanner.ts'
import {
  asciiBytes,
  decodeBase64,
  decodeString,
  decodeStringBytes,
  equalsAt,
} from './json-string.ts'
import { parseTimestamp } from './timestamp.ts'

export interface SlicedRecord {
  readonly key: Uint8Array | null
  /** null is a tombstone; a JSON null has the bytes `null`. */
  readonly value: Uint8Array | null
  readonly media: Media
  readonly headers: readonly RecordHeader[]
  /** -1 if the record names none. */
  readonly partition: number
  /** NaN if the record names none. */
  readonly timestampMs: number
}

/** Each with its bit in a set of members. */
const MEMBER = {
  key: 1,
  value: 2,
  headers: 4,
  partition: 8,
  timestamp: 16,
  tombstone: 32,
  keyBase64: 64,
  valueBase64: 128,
  headersBase64: 256,
} as const
type Member = keyof typeof MEMBER
const MEMBERS = Object.keys(MEMBER) as Member[]
const MEMBER_BYTES = MEMBERS.map(asciiBytes)

/** Members of a record as it is read, which no producer may set. */
const READ_ONLY = new Map([
  ['topic', 'is not taken here: the path names the topic'],
  ['offset', 'is not taken here: the log assigns offsets'],
])
const MAX_PARTITION = 0x7fff_ffff
const BYTE_TRUE = 0x74
const BYTE_FALSE = 0x66
const BYTE_NULL = 0x6e

const NO_HEADERS: readonly RecordHeader[] = []
/** How many records are read one by one after a plain one was looked for in vain. */
const PAUSE_RECORDS = 16

export class RecordSlicer {
  readonly scanner = new JsonScanner()
  /** At most `LIMITS.faultsPerAnswer`; the rest is dropped. */
  readonly faults: FaultDetail[] = []

  readonly #pointerOf: (place: number) => string
  readonly #headers = new HeaderSlicer(this.scanner, (pointer, detail) =>
    this.#fault(pointer, detail),
  )
  /** The members that the record has, a bit each. */
  #seen = 0
  #place = 0
  #isFaulty: boolean = false
  #key: Uint8Array | null = null
  #value: Uint8Array | null = null
  #isNull: boolean = false
  #isTombstone: boolean = false
  #partition = -1
  #timestampMs = Number.NaN
  #pause = 0

  /** `pointerOf` names a record in faults by its place in the request. */
  constructor(pointerOf: (place: number) => string) {
    this.#pointerOf = pointerOf
  }

  get isFull(): boolean {
    return this.faults.length >= LIMITS.faultsPerAnswer
  }

  /**
   * Cuts out the record that comes next. Undefined when it has faults, and when the text is no
   * JSON: then `scanner.fault` is set, nothing behind it can be read, and the caller reports it.
   */
  record(place: number): SlicedRecord | undefined {
    this.#begin(place)
    const { scanner } = this
    if (scanner.peek() !== JSON_BYTE.openObject) {
      if (scanner.value()) this.#fault('', 'must be an object')
      return undefined
    }
    for (let more = scanner.firstMember(); more; more = scanner.nextMember()) {
      if (!this.#member()) return undefined
    }
    if (scanner.fault !== '') return undefined
    this.#checkTogether()
    if (this.#isFaulty) return undefined
    return {
      key: this.#key,
      value: this.#value,
      media: this.#media(),
      headers: this.#headers.headers,
      partition: this.#partition,
      timestampMs: this.#timestampMs,
    }
  }

  /**
   * Cuts out records that come next, as long as they have a value, perhaps a key, and nothing else, and
   * what separates records behind them; adds at most `room` to `records`, and returns how many. What
   * comes next may be such a record, too.
   */
  plainRecords(records: SlicedRecord[], room: number): number {
    if (this.#pause > 0) {
      this.#pause--
      return 0
    }
    const { buffer, byteOffset } = this.scanner.bytes
    const view = (start: number, end: number) =>
      new Uint8Array(buffer, byteOffset + start, end - start)
    const before = records.length
    this.scanner.plainRecords(room, LIMITS.keyBytes, (keyStart, keyEnd, valueStart, valueEnd) => {
      records.push({
        key: keyStart === -1 ? null : view(keyStart, keyEnd),
        value: view(valueStart, valueEnd),
        media: MEDIA.json,
        headers: NO_HEADERS,
        partition: -1,
        timestampMs: Number.NaN,
      })
    })
    const count = records.length - before
    if (count === 0) this.#pause = PAUSE_RECORDS
    return count
  }

  report(pointer: string, detail: string): void {
    if (!this.isFull) this.faults.push({ pointer, detail })
  }

  #begin(place: number): void {
    this.#place = place
    this.#isFaulty = false
    this.#seen = 0
    this.#headers.begin()
    this.#key = null
    this.#value = null
    this.#isNull = false
    this.#isTombstone = false
    this.#partition = -1
    this.#timestampMs = Number.NaN
  }

  /** Reads the value of a member whose name was just read. False if it is no JSON. */
  #member(): boolean {
    const { scanner } = this
    const { nameStart, nameEnd } = scanner
    const member = this.#knownMember()
    scanner.peek()
    const start = scanner.at
    if (!scanner.value()) return false
    if (member === undefined) this.#unknownMember(nameStart, nameEnd)
    else this.#take(member, start, scanner.at)
    return true
  }

  #knownMember(): Member | undefined {
    const { bytes, nameStart, nameEnd, nameEscaped } = this.scanner
    if (nameEscaped) {
      const name = decodeString(bytes, nameStart - 1, nameEnd + 1)
      return MEMBERS.find((member) => member === name)
    }
    for (let i = 0; i < MEMBERS.length; i++) {
      if (equalsAt(bytes, nameStart, nameEnd, MEMBER_BYTES[i] as Uint8Array)) return MEMBERS[i]
    }
    return undefined
  }

  #unknownMember(nameStart: number, nameEnd: number): void {
    const name = decodeString(this.scanner.bytes, nameStart - 1, nameEnd + 1)
    this.#fault(`/${pointerToken(name)}`, READ_ONLY.get(name) ?? 'is not known')
  }

  /** Takes the value at [start, end), which is JSON. */
  #take(member: Member, start: number, end: number): void {
    if (this.#has(member)) {
      this.#fault(`/${member}`, 'is given twice')
      return
    }
    this.#seen |= MEMBER[member]
    const { bytes } = this.scanner
    const first = bytes[start] as number
    switch (member) {
      case 'value':
        this.#value = bytes.subarray(start, end)
        this.#isNull = first === BYTE_NULL
        break
      case 'valueBase64':
        this.#value = this.#base64(member, start, end)
        break
      case 'key':
        this.#key = this.#text(member, start, end)
        break
      case 'keyBase64':
        this.#key = this.#base64(member, start, end)
        break
      case 'headers':
        this.#headers.take(member, start, false)
        break
      case 'headersBase64':
        this.#headers.take(member, start, true)
        break
      case 'tombstone':
        this.#isTombstone = first === BYTE_TRUE
        if (first !== BYTE_TRUE && first !== BYTE_FALSE)
          this.#fault('/tombstone', 'must be a boolean')
        break
      case 'partition':
        this.#partition = this.#integer(start, end)
        break
      case 'timestamp':
        this.#timestampMs = this.#time(start, end)
    }
  }

  /** What no member can tell alone. */
  #checkTogether(): void {
    if (this.#has('key') && this.#has('keyBase64')) this.#fault('', 'has both key and keyBase64')
    if ((this.#key?.length ?? 0) > LIMITS.keyBytes) {
      this.#fault(
        this.#has('key') ? '/key' : '/keyBase64',
        `is longer than ${LIMITS.keyBytes} bytes`,
      )
    }
    if (this.#isTombstone) {
      if (this.#has('valueBase64') || (this.#has('value') && !this.#isNull)) {
        this.#fault('/tombstone', 'contradicts the value beside it')
      }
      this.#value = null
    } else if (this.#has('value') && this.#has('valueBase64')) {
      this.#fault('', 'has both value and valueBase64')
    } else if (!this.#has('value') && !this.#has('valueBase64')) {
      this.#fault('', 'needs value, valueBase64 or "tombstone": true')
    }
  }

  #has(member: Member): boolean {
    return (this.#seen & MEMBER[member]) !== 0
  }

  #media(): Media {
    if (this.#has('value') && !this.#isTombstone) return MEDIA.json
    const hasType = this.#headers.headers.some(({ name }) => name === CONTENT_TYPE_HEADER)
    return hasType ? MEDIA.header : MEDIA.bytes
  }

  #text(member: Member, start: number, end: number): Uint8Array | null {
    const { bytes } = this.scanner
    if (bytes[start] !== JSON_BYTE.quote) {
      this.#fault(`/${member}`, 'must be a string')
      return null
    }
    const text = decodeStringBytes(bytes, start, end)
    if (text === undefined) this.#fault(`/${member}`, 'has half a surrogate pair, which is no text')
    return text ?? null
  }

  #base64(member: Member, start: number, end: number): Uint8Array | null {
    const { bytes } = this.scanner
    const decoded = bytes[start] === JSON_BYTE.quote ? decodeBase64(bytes, start, end) : undefined
    if (decoded === undefined) this.#fault(`/${member}`, 'must be a string of base64, with padding')
    return decoded ?? null
  }

  #integer(start: number, end: number): number {
    const { bytes } = this.scanner
    const first = bytes[start] as number
    // A number starts with a digit or a minus; Number would make something of strings and null too.
    const isNumber = first <= 0x39 && first !== JSON_BYTE.quote
    const value = isNumber ? Number(Buffer.from(bytes.subarray(start, end)).toString('latin1')) : -1
    if (Number.isInteger(value) && value >= 0 && value <= MAX_PARTITION) return value
    this.#fault('/partition', `must be an integer from 0 to ${MAX_PARTITION}`)
    return -1
  }

  #time(start: number, end: number): number {
    const { bytes } = this.scanner
    const isString = bytes[start] === JSON_BYTE.quote
    const timeMs = isString ? parseTimestamp(decodeString(bytes, start, end)) : Number.NaN
    if (timeMs >= 0) return timeMs
    this.#fault('/timestamp', 'must be an RFC 3339 date-time, 1970 or later')
    return Number.NaN
  }

  #fault(pointer: string, detail: string): void {
    this.#isFaulty = true
    if (!this.isFull) this.report(this.#pointerOf(this.#place) + pointer, detail)
  }
}
