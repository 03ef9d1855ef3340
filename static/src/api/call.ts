/** One request to the REST API. Cookies say who asks; a refused request throws a `Problem`. */

/** What is wrong with one field of what was sent. */
export interface FieldError {
  /** Which: a JSON pointer. */
  pointer: string
  detail: string
}

export class Problem extends Error {
  constructor(
    /** The slug of the refusal, or `offline` when there was no answer at all. */
    readonly code: string,
    readonly detail: string,
    readonly retryAfterMs: number | null = null,
    readonly until: string | null = null,
    readonly fields: FieldError[] = [],
  ) {
    super(detail)
  }
}

export interface Request {
  body?: unknown
  /** Is sent as it is; its type says what it is. */
  file?: Blob
  query?: Record<string, string | number | boolean | null | undefined>
  /** Makes the request safe to send again: the server gives the first answer once more. */
  idempotencyKey?: string
  /** What is asked for never changes, so the browser may keep it. */
  lasting?: boolean
  /** The refusal that hides from guests what some may see: by it, too, an expired log-in is noticed and renewed. */
  hiddenAs?: string
  /** Ends the request; then it throws as if there was no answer. */
  signal?: AbortSignal
}

export interface Answer<T> {
  value: T
  /** The server's clock when it answered. */
  serverTimeMs: number
}

type Renew = () => Promise<boolean>
let renew: Renew = async () => false

/** How an expired log-in is renewed; `account` knows. */
export function renewWith(how: Renew): void {
  renew = how
}

export async function call<T = void>(method: string, path: string, request: Request = {}): Promise<T> {
  try {
    return (await ask<T>(method, path, request)).value
  } catch (problem) {
    const mayHaveExpired = problem instanceof Problem && (problem.code === 'not-signed-in' || problem.code === request.hiddenAs)
    if (!mayHaveExpired || !(await renew())) throw problem
    return (await ask<T>(method, path, request)).value
  }
}

/** As `call`, without renewing the log-in. */
export async function ask<T>(method: string, path: string, request: Request = {}): Promise<Answer<T>> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (request.body !== undefined) headers['content-type'] = 'application/json'
  if (request.file) headers['content-type'] = request.file.type
  if (request.idempotencyKey) headers['idempotency-key'] = request.idempotencyKey
  let response: Response
  try {
    response = await fetch(`/api/v1${path}${queryOf(request)}`, {
      method,
      headers,
      body: request.file ?? (request.body === undefined ? undefined : JSON.stringify(request.body)),
      credentials: 'same-origin',
      cache: request.lasting ? 'default' : 'no-store',
      signal: request.signal,
    })
  } catch {
    throw new Problem('offline', 'no answer')
  }
  if (!response.ok) throw await problemOf(response)
  const text = await response.text().catch(() => {
    throw new Problem('offline', 'the answer was cut off')
  })
  return {
    value: (text ? JSON.parse(text) : undefined) as T,
    serverTimeMs: Date.parse(response.headers.get('date') ?? '') || Date.now(),
  }
}

/** The bytes of a public document, exactly as they were sent: what is verified is what is hashed. */
export async function bytesOf(path: string): Promise<Uint8Array> {
  const response = await fetch(`/api/v1${path}`, { credentials: 'same-origin', cache: 'no-store' }).catch(() => {
    throw new Problem('offline', 'no answer')
  })
  if (!response.ok) throw await problemOf(response)
  return new Uint8Array(await response.arrayBuffer())
}

function queryOf({ query = {} }: Request): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') search.set(name, String(value))
  }
  const text = search.toString()
  return text && `?${text}`
}

async function problemOf(response: Response): Promise<Problem> {
  const said = (await response.json().catch(() => ({}))) as Record<string, unknown>
  const errors = Array.isArray(said.errors) ? (said.errors as FieldError[]) : []
  const seconds = Number(response.headers.get('retry-after'))
  const retryAfterMs = typeof said.retry_after_ms === 'number' ? said.retry_after_ms : seconds > 0 ? seconds * 1000 : null
  return new Problem(
    typeof said.code === 'string' ? said.code : `http-${response.status}`,
    errors[0]?.detail ?? String(said.detail ?? response.statusText),
    retryAfterMs,
    typeof said.until === 'string' ? said.until : null,
    errors,
  )
}

/** A random UUID; `crypto.randomUUID` is missing on plain http outside localhost. */
export function freshKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  bytes[6] = (bytes[6]! & 0x0f) | 0x40
  bytes[8] = (bytes[8]! & 0x3f) | 0x80
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}
