/** Slices produce bodies of one record a line (NDJSON, JSON lines). */
import { LIMITS } from '../core/limits.ts'
import type { FaultDetail } from '../lib/service-error.ts'
import { isUtf8 } from '../lib/utf8.ts'
import type { SlicedRecords, SliceFaults } from './json-slice.ts'
import type { SlicedRecord } from './record-slicer.ts'
import { RecordSlicer } from './record-slicer.ts'

const pointerOfLine = (line: number) => `line ${line}`

/**
 * Slices whole lines; the last one may lack its line feed. Lines of nothing but whitespace are
 * stepped over, but counted. `firstLine` is the number of the first line, for faults.
 */
export function sliceLines(body: Uint8Array, firstLine = 1): SlicedRecords | SliceFaults {
  const slicer = new LineSlicer(body)
  const records: SlicedRecord[] = []
  /** Lines without a record, in order. */
  const skipped: number[] = []
  let line = firstLine
  for (let start = 0; start < body.length && !slicer.isFull; ) {
    const before = records.length
    start = slicer.plainLines(start, records)
    line += records.length - before
    if (start === body.length) break
    const record = slicer.slice(start, line)
    if (record === undefined) skipped.push(line)
    else records.push(record)
    if (records.length > LIMITS.recordsPerRequest) {
      return {
        faults: [
          {
            pointer: pointerOfLine(line),
            detail: `is record ${records.length}; a request has at most ${LIMITS.recordsPerRequest}`,
          },
        ],
      }
    }
    start = slicer.lineEnd + 1
    line++
  }
  if (slicer.faults.length > 0) return { faults: slicer.faults }
  return { records, pointerOf: (index) => pointerOfLine(lineAt(firstLine + index, skipped)) }
}

/** The number of a line that would be `line` if none had been skipped. */
function lineAt(line: number, skipped: readonly number[]): number {
  return skipped.reduce((at, gap) => (gap <= at ? at + 1 : at), line)
}

class LineSlicer {
  readonly #slicer = new RecordSlicer(pointerOfLine)
  readonly #body: Uint8Array
  readonly #isUtf8: boolean

  constructor(body: Uint8Array) {
    this.#body = body
    this.#isUtf8 = isUtf8(body)
  }

  get faults(): readonly FaultDetail[] {
    return this.#slicer.faults
  }

  get isFull(): boolean {
    return this.#slicer.isFull
  }

  /** Where the line ends that was sliced last. */
  get lineEnd(): number {
    return this.#slicer.scanner.lineEnd()
  }

  /** Takes records of plain lines from `start` on; returns where the line starts that comes next. */
  plainLines(start: number, records: SlicedRecord[]): number {
    if (!this.#isUtf8) return start
    const { scanner } = this.#slicer
    scanner.resetLine(this.#body, start)
    this.#slicer.plainRecords(records, LIMITS.recordsPerRequest - records.length)
    return scanner.at
  }

  /** Undefined for an empty line, and for a fault. */
  slice(start: number, line: number): SlicedRecord | undefined {
    const slicer = this.#slicer
    const { scanner } = slicer
    scanner.resetLine(this.#body, start)
    if (!this.#isUtf8 && !isUtf8(this.#body, start, scanner.lineEnd())) {
      slicer.report(pointerOfLine(line), 'is not UTF-8')
      return undefined
    }
    if (scanner.isEmpty()) return undefined
    const record = slicer.record(line)
    if (scanner.fault === '' && scanner.isAtEnd()) return record
    slicer.report(pointerOfLine(line), scanner.faultText)
    return undefined
  }
}
