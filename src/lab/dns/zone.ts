// Zones of the lab's DNS server, as data, and the rules that turn a question into records.
//
// Lookup follows RFC 1034 §4.3.2 and RFC 4592: a name exists when it or something below it has records;
// a wildcard answers only below its closest existing ancestor; a name that exists without the asked type
// is NODATA, not NXDOMAIN. Names are absolute, compared in lower case, written without the last dot.
// Records can change while the server runs; nothing is cached here.

/** Data of one record by type: what the zone's author writes. */
export interface LabRecordData {
  A: string
  AAAA: string
  CNAME: string
  PTR: string
  NS: string
  /** The exchange `.` is a null MX (RFC 7505). */
  MX: { readonly preference: number; readonly exchange: string }
  /** Split into strings of 255 bytes on the wire. */
  TXT: string
  TLSA: {
    readonly usage: number
    readonly selector: number
    readonly matchingType: number
    readonly certificate: Buffer
  }
}

export type LabRecordType = keyof LabRecordData

/** One record of a zone; `ttlSeconds` defaults to 60. */
export type LabRecord = {
  readonly [T in LabRecordType]: {
    readonly name: string
    readonly type: T
    readonly data: LabRecordData[T]
    readonly ttlSeconds?: number
  }
}[LabRecordType]

/** A zone the lab answers for. */
export interface LabZone {
  /** Apex, for instance `test`. */
  readonly name: string
  readonly records: readonly LabRecord[]
  /** SOA minimum, which is the life of negative answers (RFC 2308 §4). Default 60. */
  readonly negativeTtlSeconds?: number
  /** Answer with the AD bit to a client that asked for it, as a validating resolver would. Default no. */
  readonly isSigned?: boolean
}

/** What the zones say about one name and type. */
export type ZoneAnswer =
  | { readonly kind: 'records'; readonly zone: LabZone; readonly records: readonly LabRecord[] }
  | { readonly kind: 'cname'; readonly zone: LabZone; readonly record: LabRecord; readonly target: string }
  | { readonly kind: 'nodata' | 'nxdomain'; readonly zone: LabZone }
  | { readonly kind: 'outside' }

/** Lower case, without the last dot; the root is the empty string. */
export function labName(name: string): string {
  const lower = name.toLowerCase()
  return lower.endsWith('.') ? lower.slice(0, -1) : lower
}

/** All zones of one server, changeable while it runs. */
export class ZoneBook {
  readonly #zones: readonly LabZone[]
  /** Owner name to its records; wildcards stand under their literal `*.` name. */
  readonly #records = new Map<string, LabRecord[]>()

  constructor(zones: readonly LabZone[]) {
    this.#zones = zones.map(zone => ({ ...zone, name: labName(zone.name) }))
    for (const zone of zones) {
      for (const record of zone.records) this.#add({ ...record, name: labName(record.name) })
      this.#addServer(labName(zone.name))
    }
  }

  /** Replaces all records of this name and type; an empty list removes them. */
  set<T extends LabRecordType>(
    name: string,
    type: T,
    data: readonly LabRecordData[T][],
    ttlSeconds?: number,
  ): void {
    const key = labName(name)
    const others = (this.#records.get(key) ?? []).filter(record => record.type !== type)
    const made = data.map(
      one =>
        ({ name: key, type, data: one, ...(ttlSeconds === undefined ? {} : { ttlSeconds }) }) as LabRecord,
    )
    if (others.length + made.length === 0) this.#records.delete(key)
    else this.#records.set(key, [...others, ...made])
  }

  find(name: string, type: string): ZoneAnswer {
    const asked = labName(name)
    const zone = this.#zoneOf(asked)
    if (zone === undefined) return { kind: 'outside' }
    const found = this.#records.get(asked) ?? this.#wildcard(asked, zone)
    if (found === undefined) return { kind: this.#exists(asked, zone) ? 'nodata' : 'nxdomain', zone }
    const records = found.filter(record => record.type === type)
    if (records.length > 0)
      return { kind: 'records', zone, records: records.map(r => ({ ...r, name: asked })) }
    const alias = found.find(record => record.type === 'CNAME')
    if (alias?.type === 'CNAME') {
      return { kind: 'cname', zone, record: { ...alias, name: asked }, target: labName(alias.data) }
    }
    return { kind: 'nodata', zone }
  }

  #add(record: LabRecord): void {
    const list = this.#records.get(record.name)
    if (list === undefined) this.#records.set(record.name, [record])
    else list.push(record)
  }

  /** A zone without name servers would be a strange one. */
  #addServer(apex: string): void {
    if (this.#records.get(apex)?.some(record => record.type === 'NS' || record.type === 'CNAME') === true)
      return
    this.#add({ name: apex, type: 'NS', data: apex === '' ? 'ns' : `ns.${apex}` })
  }

  #zoneOf(name: string): LabZone | undefined {
    let best: LabZone | undefined
    for (const zone of this.#zones) {
      const isInside = name === zone.name || zone.name === '' || name.endsWith(`.${zone.name}`)
      if (isInside && (best === undefined || zone.name.length > best.name.length)) best = zone
    }
    return best
  }

  #exists(name: string, zone: LabZone): boolean {
    if (name === zone.name || this.#records.has(name)) return true
    const below = `.${name}`
    for (const owner of this.#records.keys()) if (owner.endsWith(below)) return true
    return false
  }

  /** RFC 4592 §3.3.1: only the wildcard directly below the closest existing ancestor counts. */
  #wildcard(name: string, zone: LabZone): LabRecord[] | undefined {
    if (this.#exists(name, zone)) return undefined
    let ancestor = name
    while (ancestor !== zone.name && ancestor !== '') {
      const dot = ancestor.indexOf('.')
      ancestor = dot < 0 ? '' : ancestor.slice(dot + 1)
      if (this.#exists(ancestor, zone)) return this.#records.get(ancestor === '' ? '*' : `*.${ancestor}`)
    }
    return undefined
  }
}
