/** A record as it enters a batch. Bytes are borrowed: they are copied when the batch is encoded. */

/** How the payload reads back; stored in bits 0-2 of the record's attributes. Never renumber. */
export const MEDIA = { bytes: 0, json: 1, text: 2, header: 7 } as const
/** `header`: the media type is the value of the record header `content-type`. */
export type Media = (typeof MEDIA)[keyof typeof MEDIA]

/** Record headers whose name starts so belong to Curlew itself. */
export const RESERVED_HEADER_PREFIX = '__'
export const CONTENT_TYPE_HEADER = 'content-type'

export interface RecordHeader {
  /** UTF-8 text. */
  readonly name: string
  readonly value: Uint8Array | null
}

export interface RecordInput {
  readonly key: Uint8Array | null
  /** null is a tombstone. */
  readonly value: Uint8Array | null
  readonly headers: readonly RecordHeader[]
  /** Milliseconds since the epoch. */
  readonly timestampMs: number
  readonly media: Media
}
