import assert from 'node:assert/strict'
import { test } from 'node:test'
import { descriptorsMax, fitConnections, fitDescriptors } from './descriptors.ts'
import { configOf } from './test-kit.ts'

test('sessions and connections are cut to what the process may open, in proportion, and the warning says what to do', () => {
  const config = configOf('[limits]\nsessions = 2000\n[delivery]\nconnections_total = 1000\n')
  const fitted = fitDescriptors(config, 1024)
  assert.deepEqual([fitted.config.limits.sessions, fitted.config.delivery.connectionsTotal], [416, 208])
  assert.match(fitted.warnings[0]?.hint ?? '', /raise its limit to 3400/)
  assert.deepEqual(fitDescriptors(config, 3400), { config, warnings: [] })
  assert.deepEqual(fitDescriptors(config, null), { config, warnings: [] })
})

test('at a reload sessions stay as they were settled, and connections get what is left of the descriptors', () => {
  const config = configOf('[limits]\nsessions = 2000\n[delivery]\nconnections_total = 1000\n')
  const sessions = fitDescriptors(config, 1024).config.limits.sessions
  const again = fitConnections(config, sessions, 1024)
  assert.deepEqual(again, fitDescriptors(config, 1024), 'the same file: the same again')
  const less = fitConnections(
    configOf('[limits]\nsessions = 2000\n[delivery]\nconnections_total = 50\n'),
    416,
    1024,
  )
  assert.deepEqual([less.config.limits.sessions, less.config.delivery.connectionsTotal], [416, 50])
  const small = configOf('[limits]\nsessions = 100\n[delivery]\nconnections_total = 100\n')
  assert.deepEqual(fitConnections(small, 100, 1024), { config: small, warnings: [] })
  const grown = fitConnections(
    configOf('[limits]\nsessions = 100\n[delivery]\nconnections_total = 4000\n'),
    100,
    1024,
  )
  assert.deepEqual([grown.config.limits.sessions, grown.config.delivery.connectionsTotal], [100, 524])
  assert.equal(grown.warnings.length, 1)
})

test('the limit of this process is read where the system tells it', () => {
  assert.equal(
    descriptorsMax('Limit  Soft\nMax open files            1024                 4096   files\n'),
    1024,
  )
  assert.equal(descriptorsMax(''), null)
})
