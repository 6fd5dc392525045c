// SPDX-License-Identifier: MIT
// The peer: the same service as users of Fastify, mailparser and pg would write it. Two processes,
// the same tables, one transaction a message, 200 after its COMMIT; a retry is no second message.
import cluster from 'node:cluster';
import { createHash } from 'node:crypto';
import Fastify from 'fastify';
import { simpleParser } from 'mailparser';
import pg from 'pg';
import { v7 as uuid } from 'uuid';

const { DATABASE_URL, PORT, TOKEN } = process.env;
const PROCESSES = 2;
const MAX_MESSAGE_BYTES = 26214400;
const TENANT = 'default';

const sha256 = (...pieces) => {
  const hash = createHash('sha256');
  for (const piece of pieces) hash.update(piece);
  return hash.digest();
};

const insertInto = (table, columns, tail = '') =>
  `INSERT INTO ${table} (${columns.join(', ')}) ` +
  `VALUES (${columns.map((_, i) => `$${i + 1}`).join(', ')})${tail}`;

// Named statements are parsed once a connection.
const putKey = {
  name: 'key',
  text: insertInto('message_keys', ['id', 'tenant', 'digest'],
    ' ON CONFLICT DO NOTHING RETURNING id'),
};
const putMessage = {
  name: 'message',
  text: insertInto('messages', ['id', 'tenant', 'received_at', 'envelope_sender',
    'envelope_recipients', 'client_address', 'message_id', 'in_reply_to', 'refs', 'date', 'subject',
    'from_address', 'from_name', 'addresses', 'headers', 'text', 'html', 'size', 'sha256',
    'parse_status', 'defects']),
};
const putRaw = { name: 'raw', text: insertInto('message_raw', ['id', 'raw']) };
const putPart = {
  name: 'part',
  text: insertInto('message_parts', ['id', 'n', 'path', 'content_type', 'filename', 'disposition',
    'content_id', 'encoding', 'size', 'sha256', 'is_attachment', 'raw_offset', 'raw_length']),
};
const findKey = {
  name: 'find',
  text: 'SELECT id FROM message_keys WHERE tenant = $1 AND digest = $2',
};

const list = (value) => (value === undefined ? [] : Array.isArray(value) ? value : [value]);

const addresses = (field) =>
  list(field).flatMap((group) => group.value).map(({ name, address }) => ({ name, address }));

async function insert(client, id, envelope, raw, parsed) {
  const from = addresses(parsed.from)[0];
  const fields = ['from', 'to', 'cc', 'bcc', 'replyTo'];
  await client.query({ ...putMessage, values: [
    id, TENANT, new Date(), envelope.sender, envelope.recipients, envelope.clientAddress,
    parsed.messageId, parsed.inReplyTo, list(parsed.references), parsed.date, parsed.subject,
    from?.address, from?.name,
    JSON.stringify(Object.fromEntries(fields.map((field) => [field, addresses(parsed[field])]))),
    JSON.stringify(parsed.headerLines.map(({ key, line }) => ({
      name: key, value: line.slice(line.indexOf(':') + 1).trim(),
    }))),
    parsed.text, parsed.html || null, raw.length, sha256(raw), 'ok', [],
  ] });
  await client.query({ ...putRaw, values: [id, raw] });
  for (const [i, part] of parsed.attachments.entries()) {
    await client.query({ ...putPart, values: [
      id, i + 1, part.partId ?? String(i + 1), part.contentType, part.filename,
      part.contentDisposition, part.contentId,
      part.headers.get('content-transfer-encoding') ?? '7bit', part.size, sha256(part.content),
      true, 0, 0,
    ] });
  }
}

// The id that the message is kept under, and whether it was there already.
async function store(pool, envelope, raw, parsed) {
  const id = uuid();
  const digest = sha256(JSON.stringify([envelope.sender, envelope.recipients]), raw);
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const key = await client.query({ ...putKey, values: [id, TENANT, digest] });
    if (key.rowCount === 0) {
      await client.query('ROLLBACK');
      const found = await client.query({ ...findKey, values: [TENANT, digest] });
      return { id: found.rows[0].id, duplicate: true };
    }
    await insert(client, id, envelope, raw, parsed);
    await client.query('COMMIT');
    return { id, duplicate: false };
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  } finally {
    client.release();
  }
}

function serve() {
  const pool = new pg.Pool({ connectionString: DATABASE_URL });
  const app = Fastify({ bodyLimit: MAX_MESSAGE_BYTES });
  app.addContentTypeParser('message/rfc822', { parseAs: 'buffer' },
    (request, body, done) => done(null, body));

  app.get('/health/live', async () => ({ status: 'healthy' }));

  app.post('/mail/inbound', async (request, reply) => {
    const { headers, body: raw } = request;
    if (headers.authorization !== `Bearer ${TOKEN}`) {
      return reply.code(401).send({ error: true });
    }
    const envelope = {
      sender: headers['x-original-sender'] ?? '',
      recipients: list(headers['x-original-recipient']),
      clientAddress: headers['x-original-client-address'],
    };
    const parsed = await simpleParser(raw);
    const { id, duplicate } = await store(pool, envelope, raw, parsed);
    return { status: 'success', id, duplicate, size: raw.length };
  });

  return app.listen({ host: '127.0.0.1', port: Number(PORT) });
}

if (cluster.isPrimary) {
  for (let i = 0; i < PROCESSES; i++) cluster.fork();
  process.on('SIGTERM', () => {
    for (const worker of Object.values(cluster.workers)) worker.process.kill();
    process.exit(0);
  });
} else {
  await serve();
}
