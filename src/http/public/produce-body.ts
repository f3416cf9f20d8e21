/** The records of a produce body, in the form that its Content-Type names. */
import type { RecordHeader } from '../../core/record.ts'
import type { Locate, ProduceRecord } from '../../front/record-check.ts'
import type { FaultDetail } from '../../lib/service-error.ts'
import { ServiceError } from '../../lib/service-error.ts'
import type { SlicedRecords, SliceFaults } from '../../wire/json-slice.ts'
import { isJson, sliceRecords } from '../../wire/json-slice.ts'
import { sliceLines } from '../../wire/produce-lines.ts'

export type ProduceForm = 'json' | 'ndjson'

export interface ProduceRecords {
  readonly records: readonly ProduceRecord[]
  readonly locate: Locate
}

const FORMS: Readonly<Record<string, ProduceForm>> = {
  'application/json': 'json',
  'application/x-ndjson': 'ndjson',
  'application/ndjson': 'ndjson',
  'application/jsonl': 'ndjson',
  'application/json-lines': 'ndjson',
}

/** @throws ServiceError `unsupported-media-type` */
export function produceFormOf(contentType: string | undefined): ProduceForm {
  const type = (contentType ?? '').split(';', 1)[0] ?? ''
  const form = FORMS[type.trim().toLowerCase()]
  if (form !== undefined) return form
  throw new ServiceError(
    'unsupported-media-type',
    'records are taken as application/json, application/x-ndjson or application/jsonl',
  )
}

/** @throws ServiceError with every fault that was found */
export function recordsOf(
  form: ProduceForm,
  body: Uint8Array,
  trace: RecordHeader | undefined,
): ProduceRecords {
  const sliced = form === 'json' ? sliceRecords(body) : sliceLines(body)
  if ('faults' in sliced) throw faultsError(sliced, form, body)
  if (sliced.records.length === 0) {
    throw new ServiceError('invalid-request', 'the request has no records')
  }
  return traced(sliced, trace)
}

export function traced(sliced: SlicedRecords, trace: RecordHeader | undefined): ProduceRecords {
  const { records, pointerOf } = sliced
  const locate: Locate = (index, field) =>
    field === undefined ? pointerOf(index) : `${pointerOf(index)}/${field}`
  if (trace === undefined) return { records, locate }
  return {
    records: records.map((record) =>
      record.headers.some(({ name }) => name === trace.name)
        ? record
        : { ...record, headers: [...record.headers, trace] },
    ),
    locate,
  }
}

function faultsError({ faults }: SliceFaults, form: ProduceForm, body: Uint8Array): ServiceError {
  if (form === 'json' && !faults.some(isInRecord)) {
    const code = isJson(body) ? 'invalid-request' : 'invalid-json'
    return new ServiceError(code, 'the body is not {"records": [...]}', { errors: faults })
  }
  return recordFaults(faults)
}

export function recordFaults(faults: readonly FaultDetail[]): ServiceError {
  const [first] = faults
  const detail = first === undefined ? 'a record is not valid' : `${first.pointer} ${first.detail}`
  return new ServiceError('invalid-record', detail, { errors: faults })
}

function isInRecord({ pointer }: FaultDetail): boolean {
  return pointer.startsWith('/records/')
}
