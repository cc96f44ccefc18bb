// HTTP: for now the endpoints of operations.
export { type OpenResult, type OperationsParts, OperationsServer, type Readiness } from './operations.ts'
