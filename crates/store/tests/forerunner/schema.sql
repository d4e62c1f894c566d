-- The tables as the Python program makes them.
CREATE TABLE sources (
	id INTEGER NOT NULL,
	name VARCHAR NOT NULL,
	type VARCHAR NOT NULL,
	cursor VARCHAR,
	PRIMARY KEY (id),
	UNIQUE (name)
);
CREATE TABLE sinks (
	id INTEGER NOT NULL,
	name VARCHAR NOT NULL,
	type VARCHAR NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (name)
);
CREATE TABLE source_kv (
	id INTEGER NOT NULL,
	source_id INTEGER NOT NULL,
	"key" VARCHAR NOT NULL,
	value JSON NOT NULL,
	created_at DATETIME,
	updated_at DATETIME,
	PRIMARY KEY (id),
	CONSTRAINT _source_key_uc UNIQUE (source_id, "key"),
	FOREIGN KEY(source_id) REFERENCES sources (id)
);
CREATE TABLE events (
	id INTEGER NOT NULL,
	event_id VARCHAR NOT NULL,
	source_id INTEGER NOT NULL,
	event_type VARCHAR NOT NULL,
	entity_id VARCHAR,
	created_at DATETIME,
	occurred_at DATETIME,
	data JSON,
	meta JSON,
	PRIMARY KEY (id),
	CONSTRAINT _source_event_uc UNIQUE (source_id, event_id),
	FOREIGN KEY(source_id) REFERENCES sources (id)
);
CREATE TABLE pending_events (
	id INTEGER NOT NULL,
	source_id INTEGER NOT NULL,
	event_type VARCHAR NOT NULL,
	entity_id VARCHAR,
	data JSON NOT NULL,
	meta JSON,
	count INTEGER,
	first_seen_at DATETIME NOT NULL,
	last_seen_at DATETIME NOT NULL,
	flush_at DATETIME NOT NULL,
	strategy VARCHAR NOT NULL,
	window_seconds INTEGER NOT NULL,
	PRIMARY KEY (id),
	CONSTRAINT _pending_event_key_uc UNIQUE (source_id, event_type, entity_id),
	FOREIGN KEY(source_id) REFERENCES sources (id)
);
CREATE INDEX ix_pending_events_flush_at ON pending_events (flush_at);
CREATE TABLE http_webhook_deliveries (
	id INTEGER NOT NULL,
	event_id INTEGER NOT NULL,
	sink_id INTEGER NOT NULL,
	tries INTEGER,
	last_try DATETIME,
	created_at DATETIME,
	delivered BOOLEAN,
	PRIMARY KEY (id),
	CONSTRAINT _event_sink_webhook_uc UNIQUE (event_id, sink_id),
	FOREIGN KEY(event_id) REFERENCES events (id) ON DELETE CASCADE,
	FOREIGN KEY(sink_id) REFERENCES sinks (id) ON DELETE CASCADE
);
CREATE TABLE http_pull_batches (
	id INTEGER NOT NULL,
	sink_id INTEGER NOT NULL,
	created_at DATETIME,
	PRIMARY KEY (id),
	FOREIGN KEY(sink_id) REFERENCES sinks (id) ON DELETE CASCADE
);
CREATE TABLE http_pull_batch_events (
	id INTEGER NOT NULL,
	batch_id INTEGER NOT NULL,
	event_id INTEGER NOT NULL,
	processed BOOLEAN,
	PRIMARY KEY (id),
	FOREIGN KEY(batch_id) REFERENCES http_pull_batches (id) ON DELETE CASCADE,
	FOREIGN KEY(event_id) REFERENCES events (id) ON DELETE CASCADE
);
CREATE TABLE command_sink_deliveries (
	id INTEGER NOT NULL,
	event_id INTEGER NOT NULL,
	sink_id INTEGER NOT NULL,
	tries INTEGER,
	last_try DATETIME,
	processed BOOLEAN,
	processed_at DATETIME,
	return_code INTEGER,
	created_at DATETIME,
	PRIMARY KEY (id),
	CONSTRAINT _event_sink_command_uc UNIQUE (event_id, sink_id),
	FOREIGN KEY(event_id) REFERENCES events (id) ON DELETE CASCADE,
	FOREIGN KEY(sink_id) REFERENCES sinks (id) ON DELETE CASCADE
);
