// Every dialogue of dialogues/*-client.txt: Postrider delivers, the script receives.

import { after, before, describe, test } from 'node:test'
import { ClientStage } from './client-stage.ts'
import { readDialogues } from './dialogue.ts'

const files = readDialogues('client')
let stage: ClientStage
before(async () => {
  stage = await ClientStage.play(files.flatMap(file => file.dialogues))
})
after(async () => {
  await stage[Symbol.asyncDispose]()
})

for (const file of files) {
  describe(`RFC ${file.rfc}, ${file.title}, as client`, () => {
    for (const dialogue of file.dialogues) {
      test(`${dialogue.section} ${dialogue.rule} (${dialogue.place})`, () => stage.judge(dialogue))
    }
  })
}
