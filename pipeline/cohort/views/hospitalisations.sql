-- For each admission by which the patient came (possible.sql) the hospitalisation that it is a part
-- of, and the next one: one row per admission.
-- Tables: admissions. Views: possible.

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
        -- Of its first admission, unknown where that one's is (ARG_MIN would take a later one's);
        -- of two at one time of that with the lower hadm_id.
        ARG_MIN_NULL(admission_type, (admittime, hadm_id)) AS admission_type,
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
)

SELECT
    numbered.hadm_id,
    followed.dischtime,
    -- in this hospital, or in the one that the patient was transferred to
    followed.died,
    followed.next_admittime,
    followed.next_type
FROM numbered
INNER JOIN followed USING (subject_id, number)
