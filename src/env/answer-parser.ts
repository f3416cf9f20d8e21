/**
 * Reads one HTTP/1.1 answer after the other (RFC 9112) as far as the servers of nodes speak it: a
 * length or chunks, nothing after the answer that was not asked for. Whatever else comes is an error.
 */
import type { Headers } from './http-head.ts'
import { HEAD_BYTES_MAX, HeaderReader, readLength } from './http-head.ts'

export interface AnswerListener {
  /** Names in lower case. */
  onHead(status: number, headers: Readonly<Record<string, string>>): void
  onData(bytes: Uint8Array): void
  /** `isLast`: the connection is of no use any more. */
  onEnd(isLast: boolean): void
}

/** What came is no answer of a node. */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer'
}

const NOTHING = Buffer.alloc(0)
const STATUS_LINE = /^HTTP\/1\.1 ([2-5]\d\d)(?: |$)/
const CHUNK_SIZE = /^([\da-f]{1,12})[ \t]*(?:;|$)/i

interface AnswerHead {
  readonly text: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly isLast: boolean
  /** Of the body; undefined if it comes in chunks. */
  readonly bytes: number | undefined
}

type State = 'head' | 'counted' | 'chunk-size' | 'chunk' | 'chunk-end' | 'trailers'

export class AnswerParser {
  readonly #listener: AnswerListener
  readonly #headers = new HeaderReader()
  #state: State = 'head'
  /** Of lines that have not come to their end. */
  #held: Buffer = NOTHING
  /** Of the body, or of the chunk. */
  #bytesLeft = 0
  #isLast: boolean = false
  /** Of the answer before: most begin alike, so that it need not be read again. */
  #lastHead: AnswerHead | undefined

  constructor(listener: AnswerListener) {
    this.#listener = listener
  }

  /** @throws MalformedAnswer */
  push(received: Buffer): void {
    let bytes = this.#held.length === 0 ? received : Buffer.concat([this.#held, received])
    this.#held = NOTHING
    while (bytes.length > 0) {
      if (this.#state === 'counted' || this.#state === 'chunk') bytes = this.#takeBody(bytes)
      else {
        const end = this.#state === 'head' ? '\r\n\r\n' : '\r\n'
        const at = bytes.indexOf(end, 0, 'latin1')
        if ((at === -1 ? bytes.length : at) > HEAD_BYTES_MAX) {
          throw new MalformedAnswer('the head of an answer is too long')
        }
        if (at === -1) {
          this.#held = bytes
          return
        }
        this.#takeLines(bytes.toString('latin1', 0, at))
        bytes = bytes.subarray(at + end.length)
      }
    }
  }

  #takeBody(bytes: Buffer): Buffer {
    const part = bytes.subarray(0, this.#bytesLeft)
    this.#bytesLeft -= part.length
    this.#listener.onData(part)
    if (this.#bytesLeft === 0) {
      if (this.#state === 'counted') this.#end()
      else this.#state = 'chunk-end'
    }
    return bytes.subarray(part.length)
  }

  #takeLines(text: string): void {
    switch (this.#state) {
      case 'head':
        this.#takeHead(text)
        return
      case 'chunk-size':
        this.#takeSize(text)
        return
      case 'chunk-end':
        if (text !== '') throw new MalformedAnswer('a chunk is longer than it says')
        this.#state = 'chunk-size'
        return
      default:
        if (text === '') this.#end()
    }
  }

  #takeHead(text: string): void {
    const known = this.#lastHead
    const head = known?.text === text ? known : readHead(text, this.#headers)
    this.#lastHead = head
    this.#isLast = head.isLast
    this.#listener.onHead(head.status, head.headers)
    if (head.bytes === undefined) this.#state = 'chunk-size'
    else {
      this.#bytesLeft = head.bytes
      this.#state = 'counted'
      if (this.#bytesLeft === 0) this.#end()
    }
  }

  #takeSize(text: string): void {
    const size = CHUNK_SIZE.exec(text)
    if (size === null) throw new MalformedAnswer('the size of a chunk cannot be read')
    this.#bytesLeft = Number.parseInt(size[1] as string, 16)
    this.#state = this.#bytesLeft === 0 ? 'trailers' : 'chunk'
  }

  #end(): void {
    this.#state = 'head'
    this.#listener.onEnd(this.#isLast)
  }
}

function readHead(text: string, reader: HeaderReader): AnswerHead {
  const [first = '', ...lines] = text.split('\r\n')
  const status = STATUS_LINE.exec(first)
  if (status === null) throw new MalformedAnswer('an answer does not begin as one')
  const headers = reader.read(lines)
  if (headers === undefined) throw new MalformedAnswer('the headers of an answer cannot be read')
  return {
    text,
    status: Number(status[1]),
    headers: headers as Record<string, string>,
    isLast: headers['connection']?.toLowerCase() === 'close',
    bytes: isChunked(headers) ? undefined : lengthOf(headers['content-length']),
  }
}

function isChunked(headers: Headers): boolean {
  const coding = headers['transfer-encoding']
  if (coding === undefined) return false
  if (coding.toLowerCase() !== 'chunked' || headers['content-length'] !== undefined) {
    throw new MalformedAnswer('the coding of an answer is not known')
  }
  return true
}

function lengthOf(text: string | undefined): number {
  const bytes = text === undefined ? undefined : readLength(text)
  if (bytes === undefined) throw new MalformedAnswer('the length of an answer is not known')
  return bytes
}
