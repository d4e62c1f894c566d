-- Three sources, three sinks, eight events within twenty minutes, and the last sign of life at 06:50.
INSERT INTO sources VALUES (1, 'mail', 'gmail', '4711'), (2, 'cal', 'google_calendar', NULL),
    (3, 'gone', 'fio', '2026-11-01'), (4, 'inboxclaw', 'inboxclaw', NULL);
INSERT INTO sinks VALUES (1, 'hook', 'webhook'), (2, 'run', 'command'), (3, 'inbox', 'http_pull'),
    (4, 'old', 'http_pull'), (5, 'live', 'sse');
INSERT INTO source_kv VALUES
    (1, 2, 'sync_token:primary', '"tok"', '2026-11-01 00:00:00.000000', '2026-11-22 06:30:00.000001'),
    (2, 2, 'snap:primary:e1', '{"id": "e1", "n": 1.0}', '2026-11-02 00:00:00.000000', '2026-11-03 00:00:00.000000'),
    (3, 2, 'snap:primary:int', 5, NULL, NULL),
    (4, 2, 'snap:primary:real', 1.5, NULL, NULL),
    (5, 2, 'snap:primary:nan', '{"a": NaN}', NULL, NULL),
    (6, 2, 'snapshot_state:primary', '{"complete": true, "count": 4}', NULL, NULL),
    (7, 2, '_health:last_notified_status', '"unhealthy"', NULL, NULL),
    (8, 1, '_health:last_notified_status', '"healthy"', NULL, NULL);
INSERT INTO events VALUES
    (3, 'm1', 1, 'gmail.new_message', 'thread 1', '2026-11-22 04:00:00.000000', NULL, '{"n": 1}', '{}'),
    (4, 'm2', 1, 'gmail.new_message', 'thread 1', '2026-11-22 06:31:00.000000', '2026-11-22 08:31:00.000000', '{"n": 2}', NULL),
    (5, 'c1', 2, 'calendar.created', 'e1', '2026-11-22 06:32:00.047621', NULL, '{"n": 3, "s": "\u00e9"}', '{"k": [1]}'),
    (7, 'm3', 1, 'gmail.new_message', NULL, '2026-11-22 06:33:00.000000', NULL, '{"n": NaN}', '{}'),
    (8, 'm4', 1, 'gmail.new_message', 'thread 2', '2026-11-22 06:34:00.000000', NULL, 'null', '{}'),
    (9, 'f1', 3, 'fio.transaction', NULL, '2026-11-22 06:35:00.000000', NULL, '{"n": 6}', '{}'),
    (10, 'm5', 1, 'gmail.new_message', 'thread 1', '2026-11-22 06:36:00.000000', NULL, '{"n": 7}', '{}'),
    (11, 'x', 99, 'gmail.new_message', NULL, '2026-11-22 06:37:00.000000', NULL, '{}', '{}');
-- The hook has 4, gave up 5, failed once with 8; 3 is older than an hour; 9 and 10 are new to it.
INSERT INTO http_webhook_deliveries VALUES
    (1, 4, 1, 1, '2026-11-22 06:31:01.000000', '2026-11-22 06:31:01.000000', 1),
    (2, 5, 1, 3, '2026-11-22 06:49:00.000000', '2026-11-22 06:32:01.000000', 0),
    (3, 8, 1, 1, '2026-11-22 06:50:00.000000', '2026-11-22 06:34:01.000000', 0);
-- The command takes mail only and has all but the last one.
INSERT INTO command_sink_deliveries VALUES
    (1, 3, 2, 1, NULL, 1, NULL, 0, NULL), (2, 4, 2, 1, NULL, 1, NULL, 0, NULL), (3, 8, 2, 2, NULL, 1, NULL, 0, NULL);
-- The consumer confirmed 4 and 10, in different batches, and took 5 without confirming it.
INSERT INTO http_pull_batches VALUES (1, 3, '2026-11-22 06:40:00.000000'), (2, 3, '2026-11-22 06:41:00.000000'),
    (3, 4, '2026-11-22 06:41:00.000000');
INSERT INTO http_pull_batch_events VALUES
    (1, 1, 4, 1), (2, 1, 5, 0), (3, 2, 10, 1), (4, 2, 5, 0), (5, 3, 9, 1), (6, 1, 4, 0);
INSERT INTO pending_events VALUES
    (1, 2, 'calendar.updated', 'e1', '{"v": 2}', '{"k": 1}', 3, '2026-11-22 06:45:00.000000',
     '2026-11-22 06:46:00.500000', '2026-11-22 06:55:00.000000', 'debounce', 600),
    (2, 1, 'gmail.label', '', '{"v": 1}', '{}', 1, '2026-11-22 06:44:00.000000', '2026-11-22 06:44:00.000000',
     '2026-11-22 06:55:00.000000', 'batch', 600);
