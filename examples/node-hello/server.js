// A Node.js app on stack "host": it needs nothing but the node of this machine.
// SPDX-License-Identifier: Apache-2.0
const http = require('node:http');

const port = Number(process.env.PORT || 8080);
const name = process.env.PAAS_SLOT || 'nowhere';

const server = http.createServer((request, response) => {
  if (request.url === '/healthz') {
    response.end('ok\n');
    return;
  }
  console.log(`${request.method} ${request.url}`);
  response.setHeader('Content-Type', 'text/plain');
  response.end(`hello from node ${process.version} in ${name}\n`);
});

server.listen(port, () => console.log(`listening on port ${port}`));

// Finish what runs, then end: new requests go to other instances meanwhile.
process.on('SIGTERM', () => server.close(() => process.exit(0)));
