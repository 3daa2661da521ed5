// The real Node.js module, in express and in plain http, against the real agent (PORTCULLIS_AGENT).
'use strict'

const assert = require('node:assert')
const { spawn } = require('node:child_process')
const fs = require('node:fs')
const http = require('node:http')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')
const { after, before, describe, it } = require('node:test')

const express = require('express')
const Sigsci = require('sigsci-module-nodejs')

const ATTACK = '/?q=' + encodeURIComponent("<script>alert(document.cookie)</script>")
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'portcullis-module-'))
const socket = path.join(folder, 'agent.sock')
const policy = path.join(folder, 'policy.json')
const agents = new Set()
const PASSED = { status: 200, text: 'from the application', location: undefined }

const BLOCK = { site: { agentLevel: 'block', immediateBlock: true } }
after(() => {
  for (const agent of agents) agent.kill('SIGKILL')
  fs.rmSync(folder, { recursive: true, force: true })
})

// Starts an agent with a policy and waits until it listens; `admin` is where it tells its numbers. It remembers nobody.
function startAgent (rules = BLOCK) {
  fs.writeFileSync(policy, JSON.stringify(rules))
  fs.rmSync(path.join(folder, 'cache'), { recursive: true, force: true })
  const env = {
    SIGSCI_ACCESSKEYID: 'id',
    SIGSCI_SECRETACCESSKEY: 'secret',
    SIGSCI_CONFIG: '/dev/null',
    SIGSCI_SHARED_CACHE_DIR: path.join(folder, 'cache'),
    SIGSCI_RPC_ADDRESS: socket,
    SIGSCI_POLICY_FILE: policy,
    SIGSCI_ADMIN_LISTENER: '127.0.0.1:0'
  }
  const agent = spawn(process.env.PORTCULLIS_AGENT, [], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  agents.add(agent)
  agent.once('exit', () => agents.delete(agent))
  return new Promise((resolve, reject) => {
    let said = ''
    agent.once('exit', () => reject(new Error(said)))
    agent.stderr.on('data', (data) => {
      said += data
      const admin = /admin-listener" address=(\S+)/.exec(said)
      if (said.includes('listening address=') && admin) resolve({ agent, admin: admin[1] })
    })
  })
}

function ended (agent) {
  return agent.exitCode === null && agent.signalCode === null
    ? new Promise((resolve) => agent.once('exit', resolve))
    : Promise.resolve()
}

const options = { path: socket, log: () => {} }

function answer (req, res) {
  res.statusCode = req.url.startsWith('/missing') ? 404 : 200
  res.end('from the application')
}

const kinds = {
  express () {
    const app = express()
    app.use(new Sigsci(options).express())
    app.use(answer)
    return http.createServer(app)
  },
  http () {
    return http.createServer(new Sigsci(options).wrap(answer))
  }
}

function listen (server) {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)))
}

function get (port, target, body) {
  const headers = { 'user-agent': 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0', accept: '*/*', 'accept-language': 'en', 'content-type': 'application/x-www-form-urlencoded' }
  if (body) headers['content-length'] = Buffer.byteLength(body)
  return new Promise((resolve, reject) => {
    const method = body ? 'POST' : 'GET'
    const request = http.request({ port, host: '127.0.0.1', path: target, method, headers, agent: false, timeout: 5000 })
    request.on('timeout', () => request.destroy(new Error('no answer within 5 s')))
    request.on('error', reject)
    request.on('response', (response) => {
      let text = ''
      response.on('data', (data) => { text += data })
      response.on('end', () => resolve({ status: response.statusCode, text, location: response.headers.location }))
    })
    request.end(body)
  })
}

async function number (admin, name) {
  const { text } = await get(admin.split(':')[1], '/metrics')
  const line = text.split('\n').find((line) => line.startsWith(name + ' '))
  return Number(line.split(' ')[1])
}

// Reports come after the client has its answer.
async function reaches (admin, name, wanted) {
  const until = Date.now() + 5000
  while (await number(admin, name) < wanted) assert.ok(Date.now() < until, name)
}

for (const [kind, make] of Object.entries(kinds)) {
  describe(kind, () => {
    let server, port
    before(async () => {
      server = make()
      port = await listen(server)
    })
    after(() => server.close())

    it('passes what is benign, blocks an attack, reports responses', async () => {
      const { agent, admin } = await startAgent()
      assert.deepStrictEqual(await get(port, '/hello?name=bob'), PASSED)
      const blocked = await get(port, ATTACK)
      assert.strictEqual(blocked.status, 406)
      assert.ok(!blocked.text.includes('from the application'))
      assert.strictEqual((await get(port, '/missing')).status, 404)
      await reaches(admin, 'waf_reports_total{kind="post"}', 1)
      await reaches(admin, 'waf_reports_total{kind="update"}', 1)
      assert.strictEqual(await number(admin, 'waf_contexts_lost_total{reason="no_request"}'), 0)
      agent.kill('SIGTERM')
      await ended(agent)
    })

    it('blocks the attacks of an address that was flagged, and nothing else', async () => {
      const { agent } = await startAgent({ site: { agentLevel: 'block', attackThresholds: [{ interval: 1, threshold: 5 }] } })
      for (let attack = 0; attack < 5; attack += 1) assert.deepStrictEqual(await get(port, ATTACK), PASSED)
      assert.strictEqual((await get(port, ATTACK)).status, 406)
      assert.deepStrictEqual(await get(port, '/hello?name=bob'), PASSED)
      agent.kill('SIGTERM')
      await ended(agent)
    })

    it('sends who attacks elsewhere where the policy says so', async () => {
      const site = { ...BLOCK.site, blockHTTPCode: 302, blockRedirectURL: '/sorry' }
      const { agent } = await startAgent({ site })
      const { status, location } = await get(port, ATTACK)
      assert.deepStrictEqual({ status, location }, { status: 302, location: '/sorry' })
      agent.kill('SIGTERM')
      await ended(agent)
    })

    it('limits a rate, and passes what is not counted', async () => {
      const limit = {
        type: 'rateLimit',
        reason: 'logins',
        signal: 'site.login',
        enabled: true,
        groupOperator: 'all',
        conditions: [{ type: 'single', field: 'path', operator: 'equals', value: '/login' }],
        rateLimit: { threshold: 3, interval: 1, duration: 300, clientIdentifiers: [{ type: 'ip' }] },
        actions: [{ type: 'blockSignal', signal: 'site.login' }]
      }
      const { agent } = await startAgent({ site: { agentLevel: 'block' }, rules: [limit] })
      for (let login = 0; login < 3; login += 1) assert.strictEqual((await get(port, '/login')).status, 200)
      assert.strictEqual((await get(port, '/login')).status, 429)
      assert.deepStrictEqual(await get(port, '/hello?name=bob'), PASSED)
      agent.kill('SIGTERM')
      await ended(agent)
    })

    it('passes everything when there is no agent', async () => {
      assert.deepStrictEqual(await get(port, ATTACK), PASSED)
    })

    it('passes everything when the agent hangs', async () => {
      const { agent } = await startAgent()
      agent.kill('SIGSTOP')
      // The signal is on its way when kill returns: only a process that stands still hangs.
      const state = () => fs.readFileSync(`/proc/${agent.pid}/stat`, 'utf8').replace(/.*\) /s, '')[0]
      while (state() !== 'T') await new Promise((resolve) => setImmediate(resolve))
      assert.deepStrictEqual(await get(port, ATTACK), PASSED)
      agent.kill('SIGCONT')
      agent.kill('SIGKILL')
      await ended(agent)
    })
  })
}

describe('an agent that is killed again and again', () => {
  it('is never noticed by a client', async () => {
    const server = kinds.http()
    const port = await listen(server)
    let over = false
    const seen = { 200: 0, 406: 0 }
    const load = Array.from({ length: 16 }, async (_, index) => {
      while (!over) {
        const { status, text } = await get(port, index % 2 ? ATTACK : '/')
        if (status === 200) assert.strictEqual(text, 'from the application')
        else assert.strictEqual(status, 406)
        seen[status] += 1
      }
    })
    try {
      for (let round = 0; round < 15; round += 1) {
        const { agent } = await startAgent()
        const before = seen[406]
        while (seen[406] < before + 20) await new Promise((resolve) => setImmediate(resolve))
        agent.kill('SIGKILL')
        await ended(agent)
      }
    } finally {
      // A load that goes on would keep the process from ever ending.
      over = true
      await Promise.all(load)
      server.close()
    }
    assert.ok(seen[200] > 0 && seen[406] >= 300, JSON.stringify(seen))
  })
})

it('is a module that would notice a connection closed without a reply', async () => {
  // What the test above would find: an end of the stream instead of an answer hangs this module's client.
  const closer = net.createServer((connection) => connection.on('data', () => connection.end()))
  const file = path.join(folder, 'closer.sock')
  await new Promise((resolve) => closer.listen(file, resolve))
  const server = http.createServer(new Sigsci({ ...options, path: file }).wrap(answer))
  const port = await listen(server)
  await assert.rejects(get(port, '/'), /no answer within 5 s/)
  server.closeAllConnections()
  server.close()
  closer.close()
})
