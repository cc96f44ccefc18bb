// Schema 2. A start finds what was leased without a look at the rows that wait (decision 0030). The index is as long as
// the ready queue, however long the queue is.

export const leasedIndexMigration: string = `
CREATE INDEX recipient_leased ON recipient (node) WHERE state = 1;
`
