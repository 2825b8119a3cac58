// Loaded before every Node.js program. This Node's fetch knows no proxies by itself (those from 22.21 on do): at the
// first fetch it is given one that reads HTTP_PROXY, HTTPS_PROXY and NO_PROXY. Without them nothing changes.
'use strict'
if (process.env.HTTP_PROXY || process.env.HTTPS_PROXY) {
  const own = globalThis.fetch
  globalThis.fetch = function fetch(...given) {
    globalThis.fetch = own
    const { EnvHttpProxyAgent, setGlobalDispatcher } = require('/usr/share/nodejs/undici')
    const warn = process.emitWarning
    process.emitWarning = () => {} // it calls itself experimental, on the program's standard error
    try {
      setGlobalDispatcher(new EnvHttpProxyAgent())
    } finally {
      process.emitWarning = warn
    }
    return own(...given)
  }
}
