-- Who each admission is of: demographics, calendar years, and whether it came through the emergency
-- department; one row per admission of the source.
-- Tables: admissions, patients.
-- Settings: $ed_hours; $last_year, the last calendar year of the release.

WITH shifted AS (
    -- Dates are shifted per patient: a patient has anchor_age in anchor_year, which lies in one of
    -- the calendar years of anchor_year_group ("2011 - 2013"). An admission so many years later is
    -- as many calendar years later, and the patient as many years older.
    -- ASSUME the birthday is 1 January.
    SELECT
        admissions.*,
        patients.gender,
        -- Care begins in the emergency department: what was seen there counts too, unless its
        -- registration is so long before the admission that it belongs to another visit (or after
        -- it, which is a slip of the clock).
        COALESCE(
            admissions.edregtime
            BETWEEN admissions.admittime - TO_HOURS($ed_hours) AND admissions.admittime,
            FALSE
        ) AS emergency,
        patients.anchor_age + YEAR(admissions.admittime) - patients.anchor_year AS age,
        TRY_CAST(LEFT(patients.anchor_year_group, 4) AS BIGINT)
        + YEAR(admissions.admittime) - patients.anchor_year AS first_year,
        TRY_CAST(RIGHT(patients.anchor_year_group, 4) AS BIGINT)
        + YEAR(admissions.admittime) - patients.anchor_year AS last_year
    FROM admissions
    LEFT JOIN patients USING (subject_id)
)

SELECT
    hadm_id,
    -- Ages above 89 are all 91 in the source, so those computed from a younger age are, too.
    CASE WHEN age > 89 THEN 91 ELSE age END AS age,
    UPPER(gender) AS sex,
    UPPER(insurance) AS insurance,
    UPPER(language) AS language,
    UPPER(marital_status) AS marital_status,
    UPPER(race) AS race,
    UPPER(admission_type) AS admission_type,
    UPPER(admission_location) AS admission_location,
    CASE WHEN emergency THEN edregtime ELSE admittime END AS observed_from,
    -- No admission is later than the release. Where all of its years would be, it is in the last.
    -- (LEAST would make the last year of an unknown one.)
    CASE WHEN first_year > $last_year THEN $last_year ELSE first_year END AS first_year,
    CASE WHEN last_year > $last_year THEN $last_year ELSE last_year END AS last_year,
    emergency,
    -- MIMIC-CXR holds films of patients who were seen in the emergency department in 2011 to 2016
    -- (Johnson et al. 2019). Both are known at admission. ASSUME that of the calendar years that an
    -- admission may lie in one is enough.
    first_year <= 2016 AND last_year >= 2011 AS in_years_of_films
FROM shifted
