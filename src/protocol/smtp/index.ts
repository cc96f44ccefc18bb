// SMTP for the rest of the program: the reply value, the grammar, the server engine, the client session.

export * from './client/index.ts'
export * from './grammar/index.ts'
export { replyClass, type SmtpReply, smtpReply } from './reply.ts'
export * from './server/index.ts'
