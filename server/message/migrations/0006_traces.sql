-- The trace in which a fact was written: it is relayed in it. NULL: none that is kept.
ALTER TABLE outbox ADD COLUMN traceparent VARCHAR(55);
