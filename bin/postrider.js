#!/usr/bin/env node
// Finds a Node that is new enough and runs Postrider with it. Written in the JavaScript of long ago (and as CommonJS,
// see package.json beside it), so that an old Node can read it and say in one sentence what to do.
// biome-ignore-all lint: the language of old versions of Node is meant
'use strict'

var fs = require('fs')
var path = require('path')
var child = require('child_process')
var os = require('os')

var root = path.join(__dirname, '..')

// The oldest Node that package.json allows; nothing where there is no package.json.
var readLeast = function () {
  try {
    return JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8')).engines.node.replace('>=', '')
  } catch (error) {
    return ''
  }
}
var isNewEnough = function (version, least) {
  var parts = version.split('.').map(Number)
  var leastParts = least.split('.').map(Number)
  return parts[0] > leastParts[0] || (parts[0] === leastParts[0] && parts[1] >= leastParts[1])
}
var stop = function (sentence) {
  process.stderr.write('postrider: ' + sentence + '\n')
  process.exitCode = 1
}

var main = function () {
  // A checkout runs its sources; an installed package has only what was built (Node strips no types in node_modules).
  var source = path.join(root, 'src', 'main.ts')
  var isInstalled = root.split(path.sep).indexOf('node_modules') >= 0
  var entry = !isInstalled && fs.existsSync(source) ? source : path.join(root, 'dist', 'main.js')
  var least = readLeast()
  if (!fs.existsSync(entry) || !least)
    return stop('this installation is not complete: install Postrider again.')

  // The Node that npm installed for us, here or, as a dependency, beside us.
  var own = [path.join(root, 'node_modules', '.bin', 'node'), path.join(root, '..', '.bin', 'node')].filter(
    fs.existsSync,
  )[0]
  var node = isNewEnough(process.versions.node, least) ? process.execPath : own
  if (!node)
    return stop(
      'Node ' +
        process.versions.node +
        ' is too old: install Node ' +
        least +
        ' or newer, or run "npm ci" in ' +
        root +
        ' to get one for Postrider alone.',
    )
  if (!fs.existsSync(path.join(root, 'node_modules')) && !fs.existsSync(path.join(root, '..', 'commander')))
    return stop('the packages are not installed: run "npm ci" in ' + root + ' first.')

  // Set before Node begins, it holds for the first file too: else the stripper of types stays in memory, 14 MB for one file.
  var env = Object.assign({}, process.env)
  if (entry === source && env.NODE_COMPILE_CACHE === undefined)
    env.NODE_COMPILE_CACHE = path.join(root, 'node_modules', '.cache', 'postrider')
  var started = child.spawn(node, [entry].concat(process.argv.slice(2)), { stdio: 'inherit', env: env })
  // A signal to us is meant for the server. Ctrl-C reaches it by itself, and must not end us first.
  var signals = ['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGUSR2']
  signals.forEach(function (signal) {
    process.on(signal, function () {
      if (signal !== 'SIGINT' || !process.stdin.isTTY) started.kill(signal)
    })
  })
  started.on('error', function (error) {
    stop('Node at ' + node + ' cannot be started (' + error.message + '): run "npm ci" in ' + root + '.')
  })
  started.on('exit', function (code, signal) {
    signals.forEach(function (name) {
      process.removeAllListeners(name)
    })
    process.exitCode = signal ? 128 + (os.constants.signals[signal] || 0) : code
    // Process 1 of a container cannot end in this way: the kernel drops what it sends to itself. The code remains.
    if (signal) process.kill(process.pid, signal)
  })
}

main()
