/**
 * Collects the garbage of all threads of a server that was started with `--inspect`: resident memory after that is what
 * is held, not what the collector has not got round to.
 */

interface Reply {
  readonly id?: number
  readonly method?: string
  readonly params?: { readonly sessionId?: string; readonly message?: string }
}

/** Collects twice in the main thread and in every worker. */
export async function collectGarbage(inspectorPort: number): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${inspectorPort}/json/list`)
  const [target] = (await answer.json()) as { webSocketDebuggerUrl: string }[]
  if (target === undefined) throw new Error('the inspector lists no target')
  const socket = new WebSocket(target.webSocketDebuggerUrl)
  await new Promise((resolve, reject) => {
    socket.onopen = resolve
    socket.onerror = reject
  })
  const workers = new Set<string>()
  const waiting = new Map<number, () => void>()
  let lastId = 0
  socket.onmessage = ({ data }) => {
    const reply = JSON.parse(String(data)) as Reply
    const { sessionId, message } = reply.params ?? {}
    if (reply.id !== undefined) waiting.get(reply.id)?.()
    else if (reply.method === 'NodeWorker.attachedToWorker' && sessionId !== undefined) workers.add(sessionId)
    else if (reply.method === 'NodeWorker.receivedMessageFromWorker' && message !== undefined)
      waiting.get((JSON.parse(message) as Reply).id ?? -1)?.()
  }
  const call = async (method: string, params: object, ownId?: number): Promise<void> => {
    const id = ++lastId
    await new Promise<void>(resolve => {
      // A message to a worker is done when the worker has answered, not when it was handed on.
      waiting.set(ownId ?? id, resolve)
      socket.send(JSON.stringify({ id, method, params }))
    })
  }
  await call('NodeWorker.enable', { waitForDebuggerOnStart: false })
  for (let round = 0; round < 2; round++) {
    await call('HeapProfiler.collectGarbage', {})
    for (const sessionId of workers) {
      const id = 1_000_000 + ++lastId
      const message = JSON.stringify({ id, method: 'HeapProfiler.collectGarbage', params: {} })
      await call('NodeWorker.sendMessageToWorker', { sessionId, message }, id)
    }
  }
  socket.close()
}
