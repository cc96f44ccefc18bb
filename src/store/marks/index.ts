// End-of-data marks: a side file a thread.
export { MarkFiles } from './mark-files.ts'
export { type LeftMark, markDir, readMarks, removeMarks } from './read-marks.ts'
