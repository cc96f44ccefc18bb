// End-of-data marks: a file a thread.
export { MarkFile } from './mark-file.ts'
export { type LeftMark, markDir, readMarks, removeMarks } from './read-marks.ts'
