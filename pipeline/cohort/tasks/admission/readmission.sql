-- Task readmission: of those discharged alive, who is admitted again within 30 days (720 h)?
-- Planned or not; looked up among all admissions of the source, not in the cohort alone.
-- Kind: binary. Tables: episodes, admissions, patients.
-- Views: possible (inputs_possible.sql: only admissions by which the patient came count).
-- One row per episode; columns as in mortality.sql.

WITH so_far AS (
    -- For each admission, the latest discharge among the patient's earlier ones.
    SELECT
        subject_id,
        hadm_id,
        admittime,
        -- GREATEST skips nulls: an admission whose end is unknown lasts no time
        GREATEST(admittime, dischtime) AS dischtime,
        hospital_expire_flag,
        deathtime,
        UPPER(admission_type) AS admission_type,
        MAX(GREATEST(admittime, dischtime)) OVER (
            PARTITION BY subject_id
            ORDER BY admittime, hadm_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS earlier_dischtime
    FROM admissions
    INNER JOIN possible USING (hadm_id)
    WHERE possible.came
),

numbered AS (
    -- An admission that begins before the last one ended, or on the same day, continues it: a
    -- transfer on paper (acute care to rehabilitation, say), no return of the patient.
    -- ASSUME that every admission on the day of a discharge is such a transfer.
    SELECT
        *,
        SUM(
            CASE
                WHEN CAST(admittime AS DATE) <= CAST(earlier_dischtime AS DATE) THEN 0
                ELSE 1
            END
        ) OVER (PARTITION BY subject_id ORDER BY admittime, hadm_id) AS number
    FROM so_far
),

hospitalisation AS (
    SELECT
        subject_id,
        number,
        MIN(admittime) AS admittime,
        -- of its first admission; of two at one time of that with the lower hadm_id
        ARG_MIN(admission_type, (admittime, hadm_id)) AS admission_type,
        MAX(dischtime) AS dischtime,
        BOOL_OR(COALESCE(hospital_expire_flag = 1, deathtime IS NOT NULL)) AS died
    FROM numbered
    GROUP BY subject_id, number
),

followed AS (
    SELECT
        *,
        LEAD(admittime) OVER (PARTITION BY subject_id ORDER BY number) AS next_admittime,
        LEAD(admission_type) OVER (PARTITION BY subject_id ORDER BY number) AS next_type
    FROM hospitalisation
),

outcome AS (
    SELECT
        numbered.hadm_id,
        followed.dischtime,
        followed.died,
        followed.next_type,
        COALESCE(followed.next_admittime <= followed.dischtime + INTERVAL 720 HOUR, FALSE)
            AS readmitted
    FROM numbered
    INNER JOIN followed USING (subject_id, number)
)

SELECT
    episodes.episode_id,

    admissions.dischtime > episodes.prediction_time
        AS "condition: in hospital at the prediction time",
    admissions.deathtime IS NULL OR admissions.deathtime > episodes.prediction_time
        AS "condition: alive at the prediction time",
    -- Who dies in hospital, or in the one that the patient is transferred to, cannot come back.
    NOT outcome.died
        AS "condition: discharged alive",

    outcome.readmitted AS label,

    -- What the next admission is, as MIMIC's admission_type says: under observation, or for surgery
    -- of the same day, which is mostly planned. Both are readmissions here; how many is counted.
    outcome.readmitted AND COALESCE(outcome.next_type LIKE '%OBSERVATION%', FALSE)
        AS "count: readmissions for observation",
    outcome.readmitted AND COALESCE(outcome.next_type = 'SURGICAL SAME DAY ADMISSION', FALSE)
        AS "count: readmissions for surgery of the same day",
    -- A death at home hides a readmission that might have been; these negatives are counted. The
    -- source gives its day only.
    NOT outcome.readmitted
    AND COALESCE(
        CAST(patients.dod AS DATE) <= CAST(outcome.dischtime + INTERVAL 720 HOUR AS DATE), FALSE
    )
        AS "count: negatives that died within 30 days of the discharge",
    NOT outcome.readmitted
    AND EXISTS (
        SELECT 1
        FROM admissions AS later
        INNER JOIN possible USING (hadm_id)
        WHERE
            NOT possible.came
            AND later.subject_id = episodes.subject_id
            AND later.admittime > outcome.dischtime
            AND later.admittime <= outcome.dischtime + INTERVAL 720 HOUR
    )
        AS "count: negatives with an admission of impossible times within 30 days (no return)"
FROM episodes
INNER JOIN admissions USING (hadm_id)
LEFT JOIN patients ON episodes.subject_id = patients.subject_id
INNER JOIN outcome USING (hadm_id)
