// The event log's vocabulary: outcomes, events, their packed form and their JSON form.
export * from './event.ts'
export * from './facts-codec.ts'
export * from './json.ts'
export * from './outcome.ts'
