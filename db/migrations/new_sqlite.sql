-- The newest schema of an SQLite database, written by `python tools/update_schema.py`.
CREATE TABLE alarms (
	id INTEGER NOT NULL, 
	rule VARCHAR(24) NOT NULL, 
	subject VARCHAR(250) NOT NULL, 
	night VARCHAR(10) NOT NULL, 
	text VARCHAR(500) NOT NULL, 
	first_seen_at DATETIME NOT NULL, 
	last_seen_at DATETIME NOT NULL, 
	opened_at DATETIME, 
	notified_at DATETIME, 
	acknowledged_at DATETIME, 
	acknowledged_by VARCHAR(100), 
	silenced_until DATETIME, 
	silenced_by VARCHAR(100), 
	closed_at DATETIME, 
	CONSTRAINT pk_alarms PRIMARY KEY (id)
);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0028');
CREATE TABLE api_keys (
	id INTEGER NOT NULL, 
	name VARCHAR(64) NOT NULL, 
	token_hash VARCHAR(64) NOT NULL, 
	scopes VARCHAR(100) NOT NULL, 
	created_at DATETIME NOT NULL, 
	created_by VARCHAR(100) NOT NULL, 
	expires_at DATETIME, 
	revoked_at DATETIME, 
	last_used_at DATETIME, 
	CONSTRAINT pk_api_keys PRIMARY KEY (id), 
	CONSTRAINT uq_api_keys_token_hash UNIQUE (token_hash)
);
CREATE TABLE audit (
	id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	actor VARCHAR(100) NOT NULL, 
	action VARCHAR(50) NOT NULL, 
	detail JSON NOT NULL, 
	CONSTRAINT pk_audit PRIMARY KEY (id)
);
CREATE TABLE batches (
	id VARCHAR(36) NOT NULL, 
	images INTEGER NOT NULL, 
	bytes BIGINT NOT NULL, 
	created_at DATETIME NOT NULL, 
	claimed_at DATETIME, 
	finished_at DATETIME, 
	node VARCHAR(200), 
	boot_id VARCHAR(36), 
	process_index INTEGER, 
	release VARCHAR(50), 
	seconds JSON, 
	outcomes JSON, runtime VARCHAR(200), 
	CONSTRAINT pk_batches PRIMARY KEY (id)
);
CREATE TABLE bundles (
	id INTEGER NOT NULL, 
	name VARCHAR(100) NOT NULL, 
	version VARCHAR(50) NOT NULL, 
	digest VARCHAR(64) NOT NULL, 
	labels JSON NOT NULL, 
	normal_label VARCHAR(100), 
	registered_at DATETIME NOT NULL, codes JSON, of_series BOOLEAN DEFAULT 0 NOT NULL, 
	CONSTRAINT pk_bundles PRIMARY KEY (id), 
	CONSTRAINT uq_bundles_digest UNIQUE (digest)
);
CREATE TABLE contents (
        content VARCHAR(64) NOT NULL,
        work_id INTEGER NOT NULL,
        CONSTRAINT pk_contents PRIMARY KEY (content),
        CONSTRAINT fk_contents_work_id FOREIGN KEY(work_id) REFERENCES work (id)
    ) WITHOUT ROWID;
CREATE TABLE copies (
        original_id INTEGER NOT NULL,
        source_id INTEGER NOT NULL,
        sender_id INTEGER NOT NULL,
        first_id INTEGER NOT NULL,
        CONSTRAINT pk_copies PRIMARY KEY (original_id, source_id, sender_id)
    ) WITHOUT ROWID;
CREATE TABLE deliveries (
	id INTEGER NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	destination VARCHAR(200) NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	replaces VARCHAR(64), 
	content VARCHAR(64) NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	reason VARCHAR(32), 
	detail VARCHAR(500), 
	attempts INTEGER NOT NULL, 
	not_before DATETIME, 
	created_at DATETIME NOT NULL, 
	finished_at DATETIME, 
	CONSTRAINT pk_deliveries PRIMARY KEY (id), 
	CONSTRAINT uq_deliveries_sop_instance_uid UNIQUE (sop_instance_uid)
);
CREATE TABLE drift_nights (
	evening VARCHAR(10) NOT NULL, 
	bundle_id INTEGER NOT NULL, 
	modality VARCHAR(16) NOT NULL, 
	device_model VARCHAR(64) NOT NULL, 
	"view" VARCHAR(16) NOT NULL, 
	source VARCHAR(200) NOT NULL, 
	images INTEGER NOT NULL, 
	counts JSON NOT NULL, 
	CONSTRAINT pk_drift_nights PRIMARY KEY (evening, bundle_id, modality, device_model, "view", source), 
	CONSTRAINT fk_drift_nights_bundle_id FOREIGN KEY(bundle_id) REFERENCES bundles (id)
);
CREATE TABLE drift_references (
	id INTEGER NOT NULL, 
	bundle_id INTEGER NOT NULL, 
	kind VARCHAR(10) NOT NULL, 
	first_evening VARCHAR(10), 
	last_evening VARCHAR(10), 
	images INTEGER NOT NULL, 
	content JSON NOT NULL, 
	made_at DATETIME NOT NULL, 
	made_by VARCHAR(100) NOT NULL, 
	ended_at DATETIME, 
	CONSTRAINT pk_drift_references PRIMARY KEY (id), 
	CONSTRAINT fk_drift_references_bundle_id FOREIGN KEY(bundle_id) REFERENCES bundles (id)
);
CREATE TABLE drift_results (
	evening VARCHAR(10) NOT NULL, 
	bundle_id INTEGER NOT NULL, 
	reference_id INTEGER, 
	images INTEGER NOT NULL, 
	comparisons JSON NOT NULL, 
	CONSTRAINT pk_drift_results PRIMARY KEY (evening, bundle_id), 
	CONSTRAINT fk_drift_results_bundle_id FOREIGN KEY(bundle_id) REFERENCES bundles (id), 
	CONSTRAINT fk_drift_results_reference_id FOREIGN KEY(reference_id) REFERENCES drift_references (id)
);
CREATE TABLE expected (
	study_instance_uid VARCHAR(64) NOT NULL, 
	source_id INTEGER NOT NULL, 
	reported_by VARCHAR(16) NOT NULL, 
	images INTEGER NOT NULL, 
	reported_at DATETIME NOT NULL, 
	CONSTRAINT pk_expected PRIMARY KEY (study_instance_uid, source_id, reported_by), 
	CONSTRAINT fk_expected_source_id FOREIGN KEY(source_id) REFERENCES sources (id)
);
CREATE TABLE heartbeats (
	part VARCHAR(16) NOT NULL, 
	node VARCHAR(200) NOT NULL, 
	boot_id VARCHAR(64) NOT NULL, 
	detail JSON NOT NULL, 
	started_at DATETIME NOT NULL, 
	heartbeat_at DATETIME NOT NULL, 
	ahead_seconds FLOAT NOT NULL, 
	worked_at DATETIME, 
	stopped_at DATETIME, 
	crashed_at DATETIME, first_started_at DATETIME, 
	CONSTRAINT pk_heartbeats PRIMARY KEY (part, node)
);
CREATE TABLE instances (
	id INTEGER NOT NULL, 
	source_id INTEGER NOT NULL, 
	uri TEXT NOT NULL, 
	uri_key VARCHAR(32) NOT NULL, 
	size BIGINT NOT NULL, 
	mtime_ns BIGINT NOT NULL, 
	arrived_at DATETIME NOT NULL, 
	parent_id INTEGER, 
	content VARCHAR(64), 
	sop_instance_uid VARCHAR(64), 
	series_instance_uid VARCHAR(64), 
	study_instance_uid VARCHAR(64), 
	sop_class_uid VARCHAR(64), 
	transfer_syntax VARCHAR(64), 
	modality VARCHAR(16), 
	body_part VARCHAR(16), 
	image_type VARCHAR(64), 
	study_date VARCHAR(8), 
	rows INTEGER, 
	columns INTEGER, 
	frames INTEGER, 
	patient_key VARCHAR(64), 
	accession_key VARCHAR(64), 
	key_id VARCHAR(8), 
	decoder VARCHAR(64), 
	superseded_by INTEGER, withdrawn_by INTEGER, withdrawn_code VARCHAR(16), member_name TEXT, replaced_by INTEGER, sender_id INTEGER, conflict_with INTEGER, purged_at DATETIME, view_position VARCHAR(16), laterality VARCHAR(1), manufacturer VARCHAR(64), station_name VARCHAR(16), patient_sex VARCHAR(1), age_band VARCHAR(8), unowned BOOLEAN, device_model VARCHAR(64), photometric VARCHAR(16), pixel_spacing FLOAT, geometry TEXT, 
	CONSTRAINT pk_instances PRIMARY KEY (id), 
	CONSTRAINT fk_instances_parent_id FOREIGN KEY(parent_id) REFERENCES instances (id), 
	CONSTRAINT fk_instances_source_id FOREIGN KEY(source_id) REFERENCES sources (id), 
	CONSTRAINT fk_instances_superseded_by FOREIGN KEY(superseded_by) REFERENCES instances (id), 
	CONSTRAINT uq_instances_source_id_uri_key_size_mtime_ns UNIQUE (source_id, uri_key, size, mtime_ns)
);
CREATE TABLE issuers (
	kind VARCHAR(9) NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	first_seen_at DATETIME NOT NULL, 
	CONSTRAINT pk_issuers PRIMARY KEY (kind, name)
);
CREATE TABLE nights (
	evening VARCHAR(10) NOT NULL, 
	began_at DATETIME NOT NULL, 
	ended_at DATETIME NOT NULL, 
	CONSTRAINT pk_nights PRIMARY KEY (evening), 
	CONSTRAINT uq_nights_began_at UNIQUE (began_at)
);
CREATE TABLE notices (
	id INTEGER NOT NULL, 
	alarm_id INTEGER, 
	channel VARCHAR(64) NOT NULL, 
	body JSON NOT NULL, 
	created_at DATETIME NOT NULL, 
	not_before DATETIME, 
	attempts INTEGER NOT NULL, 
	sent_at DATETIME, 
	detail VARCHAR(100), 
	CONSTRAINT pk_notices PRIMARY KEY (id), 
	CONSTRAINT fk_notices_alarm_id FOREIGN KEY(alarm_id) REFERENCES alarms (id)
);
CREATE TABLE occurrences (
        kind VARCHAR(12) NOT NULL,
        value VARCHAR(64) NOT NULL,
        block INTEGER NOT NULL,
        CONSTRAINT pk_occurrences PRIMARY KEY (kind, value, block)
    ) WITHOUT ROWID;
CREATE TABLE opt_outs (
	patient_key VARCHAR(64) NOT NULL, 
	number_key VARCHAR(64), 
	key_id VARCHAR(8) NOT NULL, 
	added_at DATETIME NOT NULL, 
	actor VARCHAR(100) NOT NULL, 
	CONSTRAINT pk_opt_outs PRIMARY KEY (patient_key)
);
CREATE TABLE "pauses" (
	id INTEGER NOT NULL, 
	cause VARCHAR(16) NOT NULL, 
	detail VARCHAR(500) NOT NULL, 
	actor VARCHAR(100) NOT NULL, 
	began_at DATETIME NOT NULL, 
	probe_batch VARCHAR(36), 
	probed_at DATETIME, 
	ended_at DATETIME, 
	ended_by VARCHAR(100), 
	source_id INTEGER, 
	CONSTRAINT pk_pauses PRIMARY KEY (id), 
	CONSTRAINT fk_pauses_source_id_sources FOREIGN KEY(source_id) REFERENCES sources (id)
);
CREATE TABLE predictions (
	work_id INTEGER NOT NULL, 
	frame INTEGER NOT NULL, 
	label VARCHAR(100), 
	score FLOAT NOT NULL, 
	scores JSON NOT NULL, 
	CONSTRAINT pk_predictions PRIMARY KEY (work_id, frame), 
	CONSTRAINT fk_predictions_work_id FOREIGN KEY(work_id) REFERENCES work (id)
);
CREATE TABLE receipts (
	id INTEGER NOT NULL, 
	source_id INTEGER NOT NULL, 
	association VARCHAR(36) NOT NULL, 
	calling_ae VARCHAR(16) NOT NULL, 
	address VARCHAR(64) NOT NULL, 
	began_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	received INTEGER NOT NULL, 
	refused INTEGER NOT NULL, 
	failed INTEGER NOT NULL, 
	statuses JSON NOT NULL, 
	CONSTRAINT pk_receipts PRIMARY KEY (id), 
	CONSTRAINT fk_receipts_source_id FOREIGN KEY(source_id) REFERENCES sources (id), 
	CONSTRAINT uq_receipts_association UNIQUE (association)
);
CREATE TABLE routes (
	id INTEGER NOT NULL, 
	position INTEGER NOT NULL, 
	bundle_id INTEGER NOT NULL, 
	role VARCHAR(8) NOT NULL, 
	conditions JSON NOT NULL, 
	began_at DATETIME NOT NULL, 
	ended_at DATETIME, 
	CONSTRAINT pk_routes PRIMARY KEY (id), 
	CONSTRAINT fk_routes_bundle_id FOREIGN KEY(bundle_id) REFERENCES bundles (id)
);
CREATE TABLE rule_actions (
	id INTEGER NOT NULL, 
	rule VARCHAR(64) NOT NULL, 
	kind VARCHAR(12) NOT NULL, 
	target VARCHAR(200) NOT NULL, 
	subject VARCHAR(72) NOT NULL, 
	instance_id INTEGER NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_rule_actions PRIMARY KEY (id), 
	CONSTRAINT uq_rule_actions_rule_kind_target_subject UNIQUE (rule, kind, target, subject)
);
CREATE TABLE senders (
	id INTEGER NOT NULL, 
	source_id INTEGER NOT NULL, 
	calling_ae VARCHAR(16) NOT NULL, 
	address VARCHAR(64) NOT NULL, 
	trust VARCHAR(200), 
	CONSTRAINT pk_senders PRIMARY KEY (id), 
	CONSTRAINT fk_senders_source_id FOREIGN KEY(source_id) REFERENCES sources (id), 
	CONSTRAINT uq_senders_source_id_calling_ae_address UNIQUE (source_id, calling_ae, address)
);
CREATE TABLE "series" (
	id INTEGER NOT NULL, 
	series_instance_uid VARCHAR(64) NOT NULL, 
	study_instance_uid VARCHAR(64) NOT NULL, 
	state VARCHAR(10) NOT NULL, 
	began_at DATETIME NOT NULL, 
	changed_at DATETIME NOT NULL, 
	cause VARCHAR(10), 
	claim VARCHAR(36), 
	lease_until DATETIME, 
	attempts INTEGER NOT NULL, 
	formed_at DATETIME, 
	reason VARCHAR(32), 
	stored_order JSON, 
	detail VARCHAR(500), 
	CONSTRAINT pk_series PRIMARY KEY (id), 
	CONSTRAINT uq_series_study_instance_uid_series_instance_uid UNIQUE (study_instance_uid, series_instance_uid)
);
CREATE TABLE series_results (
	id INTEGER NOT NULL, 
	series_id INTEGER NOT NULL, 
	bundle_id INTEGER NOT NULL, 
	stack INTEGER NOT NULL, 
	stack_name VARCHAR(64), 
	state VARCHAR(10) NOT NULL, 
	reason VARCHAR(32), 
	detail VARCHAR(500), 
	label VARCHAR(100), 
	score FLOAT, 
	suspicion FLOAT, 
	scores JSON, 
	slices INTEGER NOT NULL, 
	of_slices INTEGER NOT NULL, 
	partial BOOLEAN NOT NULL, 
	remarks VARCHAR(200), 
	places JSON NOT NULL, 
	evidence JSON NOT NULL, 
	shadow BOOLEAN DEFAULT 0 NOT NULL, 
	revision INTEGER NOT NULL, 
	content VARCHAR(64) NOT NULL, 
	formed_at DATETIME NOT NULL, 
	CONSTRAINT pk_series_results PRIMARY KEY (id), 
	CONSTRAINT fk_series_results_series_id FOREIGN KEY(series_id) REFERENCES series (id), 
	CONSTRAINT fk_series_results_bundle_id FOREIGN KEY(bundle_id) REFERENCES bundles (id), 
	CONSTRAINT uq_series_results_series_id_bundle_id_stack UNIQUE (series_id, bundle_id, stack)
);
CREATE TABLE sources (
	id INTEGER NOT NULL, 
	name VARCHAR(200) NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	root TEXT NOT NULL, 
	created_at DATETIME NOT NULL, 
	report JSON, 
	reported_at DATETIME, marked BOOLEAN DEFAULT 0 NOT NULL, cursor JSON, trust VARCHAR(200), 
	CONSTRAINT pk_sources PRIMARY KEY (id), 
	CONSTRAINT uq_sources_name UNIQUE (name)
);
CREATE TABLE truths (
	subject VARCHAR(9) NOT NULL, 
	"key" VARCHAR(64) NOT NULL, 
	label VARCHAR(100) NOT NULL, 
	present BOOLEAN NOT NULL, 
	imported_at DATETIME NOT NULL, 
	CONSTRAINT pk_truths PRIMARY KEY (subject, "key", label)
);
CREATE TABLE watchdog_marks (
	name VARCHAR(32) NOT NULL, 
	at DATETIME NOT NULL, 
	CONSTRAINT pk_watchdog_marks PRIMARY KEY (name)
);
CREATE TABLE withdrawals (
	study_instance_uid VARCHAR(64) NOT NULL, 
	sop_instance_uid VARCHAR(64) NOT NULL, 
	note_id INTEGER NOT NULL, 
	code VARCHAR(16) NOT NULL, 
	CONSTRAINT pk_withdrawals PRIMARY KEY (study_instance_uid, sop_instance_uid, note_id), 
	CONSTRAINT fk_withdrawals_note_id FOREIGN KEY(note_id) REFERENCES instances (id)
);
CREATE TABLE work (
	id INTEGER NOT NULL, 
	instance_id INTEGER NOT NULL, 
	ordinal INTEGER NOT NULL, 
	bundle_id INTEGER, 
	state VARCHAR(10) NOT NULL, 
	batch_id VARCHAR(36), 
	attempts INTEGER NOT NULL, 
	deaths INTEGER NOT NULL, 
	expiries INTEGER NOT NULL, 
	lease_until DATETIME, 
	not_before DATETIME, 
	priority INTEGER NOT NULL, 
	alone BOOLEAN NOT NULL, 
	reason VARCHAR(32), 
	detail VARCHAR(500), 
	duplicate_of INTEGER, 
	label VARCHAR(100), 
	score FLOAT, 
	scores JSON, 
	finished_at DATETIME, route_id INTEGER, matched JSON, shadow BOOLEAN DEFAULT 0 NOT NULL, tried_since DATETIME, remarks VARCHAR(200), suspicion FLOAT, intensities BIGINT, 
	CONSTRAINT pk_work PRIMARY KEY (id), 
	CONSTRAINT ck_work_state CHECK (state IN ('received', 'queued', 'running', 'done', 'duplicate', 'rejected', 'failed', 'expanded')), 
	CONSTRAINT fk_work_instance_id FOREIGN KEY(instance_id) REFERENCES instances (id), 
	CONSTRAINT uq_work_instance_id_ordinal UNIQUE (instance_id, ordinal)
);
CREATE TABLE workers (
	node VARCHAR(200) NOT NULL, 
	boot_id VARCHAR(36) NOT NULL, 
	slots INTEGER NOT NULL, 
	device VARCHAR(100) NOT NULL, 
	release VARCHAR(50) NOT NULL, 
	started_at DATETIME NOT NULL, 
	heartbeat_at DATETIME NOT NULL, starting INTEGER DEFAULT '0' NOT NULL, model VARCHAR(151), ahead_seconds FLOAT DEFAULT '0' NOT NULL, crashed_at DATETIME, first_started_at DATETIME, draining_at DATETIME, 
	CONSTRAINT pk_workers PRIMARY KEY (node)
);
CREATE INDEX ix_batches_created_at ON batches (created_at);
CREATE INDEX ix_batches_open ON batches (created_at) WHERE finished_at IS NULL;
CREATE INDEX ix_instances_accession_key ON instances (accession_key) WHERE accession_key IS NOT NULL;
CREATE INDEX ix_instances_arrived_at ON instances (arrived_at);
CREATE INDEX ix_instances_modality ON instances (modality, id) WHERE modality IS NOT NULL;
CREATE INDEX ix_instances_patient_key ON instances (patient_key) WHERE patient_key IS NOT NULL;
CREATE INDEX ix_instances_sop_instance_uid ON instances (sop_instance_uid, superseded_by) WHERE sop_instance_uid IS NOT NULL;
CREATE INDEX ix_instances_study_instance_uid ON instances (study_instance_uid) WHERE study_instance_uid IS NOT NULL;
CREATE INDEX ix_instances_superseded_by ON instances (superseded_by) WHERE superseded_by IS NOT NULL;
CREATE INDEX ix_work_batch ON work (batch_id) WHERE state IN ('queued', 'running');
CREATE INDEX ix_work_label ON work (label, instance_id) WHERE label IS NOT NULL;
CREATE INDEX ix_work_outcome ON work (state, instance_id) WHERE finished_at IS NOT NULL;
CREATE INDEX ix_work_reason ON work (reason, instance_id) WHERE reason IS NOT NULL;
CREATE INDEX ix_work_received ON work (priority, id) WHERE state = 'received';
CREATE INDEX ix_routes_in_force ON routes (position) WHERE ended_at IS NULL;
CREATE INDEX ix_work_further ON work (bundle_id, instance_id) WHERE ordinal > 0;
CREATE INDEX ix_instances_parent_id ON instances (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX ix_instances_withdrawn_by ON instances (withdrawn_by) WHERE withdrawn_by IS NOT NULL;
CREATE INDEX ix_receipts_began_at ON receipts (began_at);
CREATE INDEX ix_deliveries_study ON deliveries (study_instance_uid, destination);
CREATE INDEX ix_deliveries_waiting ON deliveries (not_before) WHERE state = 'waiting';
CREATE INDEX ix_expected_reported_at ON expected (reported_at);
CREATE INDEX ix_work_remarks ON work (remarks, instance_id) WHERE remarks IS NOT NULL;
CREATE INDEX ix_instances_replaced_by ON instances (replaced_by) WHERE replaced_by IS NOT NULL;
CREATE INDEX ix_work_not_before ON work (not_before) WHERE not_before IS NOT NULL;
CREATE UNIQUE INDEX ix_pauses_in_force ON pauses (cause) WHERE ended_at IS NULL AND source_id IS NULL;
CREATE UNIQUE INDEX ix_pauses_source ON pauses (cause, source_id) WHERE ended_at IS NULL AND source_id IS NOT NULL;
CREATE INDEX ix_instances_conflict_with ON instances (conflict_with) WHERE conflict_with IS NOT NULL;
CREATE UNIQUE INDEX ix_api_keys_name ON api_keys (name) WHERE revoked_at IS NULL;
CREATE INDEX ix_audit_at ON audit (at);
CREATE INDEX ix_instances_unowned ON instances (content) WHERE unowned IS NOT NULL;
CREATE INDEX ix_work_score ON work (score, instance_id, label) WHERE score IS NOT NULL;
CREATE INDEX ix_work_finished_at ON work (finished_at, instance_id) WHERE finished_at IS NOT NULL;
CREATE INDEX ix_work_suspicion ON work (suspicion, instance_id, label) WHERE suspicion IS NOT NULL;
CREATE VIEW v_nights AS 
    SELECT
        nights.evening AS night,
        nights.began_at,
        nights.ended_at,
        count(*) AS arrived,
        count(*) FILTER (WHERE work.state = 'done') AS done,
        count(*) FILTER (WHERE work.state = 'duplicate') AS duplicate,
        count(*) FILTER (WHERE work.state = 'rejected') AS rejected,
        count(*) FILTER (WHERE work.state = 'failed') AS failed,
        count(*) FILTER (WHERE work.state = 'expanded') AS expanded,
        count(*) FILTER (WHERE work.state = 'received') AS waiting,
        count(*) FILTER (WHERE work.state = 'queued') AS queued,
        count(*) FILTER (WHERE work.state = 'running') AS running
    FROM nights
    CROSS JOIN instances
    CROSS JOIN work
    WHERE instances.arrived_at >= nights.began_at AND instances.arrived_at < nights.ended_at
        AND work.instance_id = instances.id AND work.ordinal = 0
    GROUP BY nights.evening, nights.began_at, nights.ended_at;
CREATE UNIQUE INDEX ix_alarms_open ON alarms (rule, subject) WHERE closed_at IS NULL;
CREATE INDEX ix_alarms_opened_at ON alarms (opened_at) WHERE opened_at IS NOT NULL;
CREATE INDEX ix_notices_waiting ON notices (not_before) WHERE not_before IS NOT NULL;
CREATE INDEX ix_notices_alarm_id ON notices (alarm_id) WHERE alarm_id IS NOT NULL;
CREATE INDEX ix_rule_actions_subject ON rule_actions (subject, kind);
CREATE VIEW v_results AS 
    SELECT
        instances.id AS image_id,
        sources.name AS source,
        CASE WHEN instances.purged_at IS NULL THEN sources.root || '/' || instances.uri END AS uri,
        work.state,
        work.reason,
        work.detail,
        work.duplicate_of,
        instances.superseded_by,
        instances.parent_id,
        instances.withdrawn_by,
        instances.withdrawn_code,
        CAST(CASE WHEN length(instances.content) = 64 THEN instances.content END AS VARCHAR(64)) AS sha256,
        instances.sop_instance_uid,
        instances.series_instance_uid,
        instances.study_instance_uid,
        instances.modality,
        instances.body_part,
        instances.transfer_syntax,
        instances."rows",
        instances."columns",
        instances.frames,
        bundles.name AS model,
        bundles.version AS model_version,
        work.label,
        work.score,
        CASE WHEN work.scores IS NOT NULL AND bundles.id IS NOT NULL THEN (
        SELECT json_group_object(label.value, score.value)
        FROM json_each(bundles.labels) label JOIN json_each(work.scores) score ON score.key = label.key
    ) END AS scores,
        work.attempts,
        instances.arrived_at AS received_at,
        work.finished_at,
        work.shadow,
        work.matched,
        work.remarks,
        instances.replaced_by,
        instances.member_name,
        instances.conflict_with,
        instances.purged_at,
        CASE
            WHEN senders.trust = '' THEN 'an unknown sender'
            WHEN senders.id IS NOT NULL
            THEN coalesce(nullif(senders.calling_ae, ''), 'a caller without AE title') || ' at ' || senders.address
        END AS sender,
        instances.study_date,
        instances.view_position,
        instances.laterality,
        instances.manufacturer,
        instances.station_name,
        instances.patient_sex,
        instances.age_band,
        work.suspicion,
        (
            SELECT CASE WHEN nights.ended_at > instances.arrived_at THEN nights.evening END
            FROM nights WHERE nights.began_at <= instances.arrived_at
            ORDER BY nights.began_at DESC LIMIT 1
        ) AS night,
        CASE
            WHEN length(instances.content) = 64 THEN 'sha256:' || instances.content ELSE instances.content
        END AS content
    FROM instances
    JOIN work ON work.instance_id = instances.id AND work.ordinal = 0
    JOIN sources ON sources.id = instances.source_id
    LEFT JOIN bundles ON bundles.id = work.bundle_id
    LEFT JOIN senders ON senders.id = instances.sender_id;
CREATE VIEW v_batches AS 
    SELECT
        id AS batch_id, images, bytes, created_at, claimed_at, finished_at, node, process_index, release, seconds,
        outcomes, runtime
    FROM batches;
CREATE UNIQUE INDEX ix_drift_references_in_force ON drift_references (bundle_id) WHERE ended_at IS NULL;
CREATE INDEX ix_series_results_label ON series_results (label, score) WHERE label IS NOT NULL;
CREATE VIEW v_studies AS 
    SELECT
        counted.*,
        CASE
            WHEN expected >= 0 AND images >= expected THEN 'complete'
            WHEN expected >= 0 THEN 'incomplete'
            WHEN last_arrival <= strftime('%Y-%m-%d %H:%M:%f', 'now', '-15 minutes') THEN 'quiet'
            ELSE 'arriving'
        END AS completeness
    FROM (
        SELECT
            named.study_instance_uid,
            count(DISTINCT instances.sop_instance_uid)
                FILTER (WHERE work.reason IS NULL OR work.reason <> 'own_result') AS images,
            count(DISTINCT instances.sop_instance_uid) FILTER (WHERE work.state IN ('done', 'duplicate')) AS done,
            count(DISTINCT instances.sop_instance_uid)
                FILTER (WHERE work.state = 'failed' OR work.reason IN ('not_dicom', 'empty', 'truncated', 'bad_header', 'no_pixel_data', 'bad_pixels', 'voi_unusable', 'unsupported_syntax', 'too_large', 'bad_archive', 'archive_limits', 'archive_escapes', 'bad_dicomdir', 'bad_manifest', 'bad_key_object', 'bad_slice')) AS no_result,
            count(DISTINCT instances.sop_instance_uid)
                FILTER (WHERE work.state IN ('received', 'queued', 'running')) AS unfinished,
            count(DISTINCT instances.sop_instance_uid) FILTER (WHERE instances.withdrawn_by IS NOT NULL) AS withdrawn,
            named.expected,
            named.reported_by,
            min(instances.arrived_at) AS first_arrival,
            max(instances.arrived_at) AS last_arrival
        FROM (
            SELECT
                known.study_instance_uid,
                coalesce(
                    max(CASE WHEN expected.reported_by = 'store' THEN expected.images END),
                    max(CASE WHEN expected.reported_by = 'manifest' THEN expected.images END),
                    max(CASE WHEN expected.reported_by = 'header' THEN expected.images END)
                ) AS expected,
                coalesce(
                    max(CASE WHEN expected.reported_by = 'store' THEN 'store' END),
                    max(CASE WHEN expected.reported_by = 'manifest' THEN 'manifest' END),
                    max(CASE WHEN expected.reported_by = 'header' THEN 'header' END)
                ) AS reported_by
            FROM (
                SELECT study_instance_uid FROM instances WHERE study_instance_uid IS NOT NULL
                UNION SELECT study_instance_uid FROM expected
            ) known
            LEFT JOIN expected ON expected.study_instance_uid = known.study_instance_uid
            GROUP BY known.study_instance_uid
        ) named
        LEFT JOIN instances ON instances.study_instance_uid = named.study_instance_uid
        LEFT JOIN work ON work.instance_id = instances.id AND work.ordinal = 0
        GROUP BY named.study_instance_uid, named.expected, named.reported_by
    ) counted;
CREATE INDEX ix_series_changed_at ON series (changed_at);
CREATE INDEX ix_series_reason ON series (reason) WHERE reason IS NOT NULL;
CREATE INDEX ix_series_unformed ON series (state, id) WHERE state IN ('collecting', 'due', 'forming');
CREATE INDEX ix_series_series_instance_uid ON series (series_instance_uid);
CREATE VIEW v_series AS 
    SELECT
        series.series_instance_uid,
        series.study_instance_uid,
        series.state AS series_state,
        series_results.stack,
        series_results.stack_name,
        series_results.state,
        coalesce(series_results.reason, series.reason) AS reason,
        coalesce(series_results.detail, series.detail) AS detail,
        bundles.name AS model,
        bundles.version AS model_version,
        series_results.label,
        series_results.score,
        series_results.suspicion,
        CASE WHEN series_results.scores IS NOT NULL THEN (
        SELECT json_group_object(label.value, score.value)
        FROM json_each(bundles.labels) label JOIN json_each(series_results.scores) score ON score.key = label.key
    ) END AS scores,
        series_results.slices,
        series_results.of_slices,
        series_results.partial,
        series_results.remarks,
        (
        SELECT json_group_array(json_object(
            'place', place.value,
            'image_id', json_extract(series_results.places, '$[' || (place.value - 1) || '][0]'),
            'frame', json_extract(series_results.places, '$[' || (place.value - 1) || '][1]'),
            'score', json_extract(series_results.places, '$[' || (place.value - 1) || '][2]')
        )) FROM json_each(coalesce(series_results.evidence, '[]')) place
    ) AS evidence,
        coalesce(series_results.shadow, false) AS shadow,
        series_results.revision,
        series.changed_at,
        series_results.formed_at
    FROM series
    LEFT JOIN series_results ON series_results.series_id = series.id
    LEFT JOIN bundles ON bundles.id = series_results.bundle_id;
