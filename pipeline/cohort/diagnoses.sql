-- The distinct codes of each stay's admission, with the group of each: its category, the first
-- three characters of an ICD-10-CM code. One row per stay, code and group; no group: null.
-- Tables: episodes (those that are eligible), diagnoses_icd, gems (CMS's General Equivalence
-- Mappings from ICD-9-CM to ICD-10-CM: icd9cm, icd10cm, no_map, scenario, choice_list).

WITH codes AS (
    SELECT DISTINCT
        episodes.episode_id,
        diagnoses_icd.icd_version,
        -- MIMIC pads some codes with spaces; other sources write the point.
        UPPER(REPLACE(TRIM(diagnoses_icd.icd_code), '.', '')) AS code
    FROM diagnoses_icd
    INNER JOIN episodes USING (hadm_id)
),

alternatives AS (
    -- How many ICD-10 codes speak for a category. An ICD-9 code that stands for a combination has
    -- one list of choices per part. ASSUME the first scenario of combinations.
    SELECT icd9cm AS code, choice_list, LEFT(icd10cm, 3) AS category, COUNT(*) AS votes
    FROM (
        FROM gems
        WHERE no_map = 0
        QUALIFY scenario = MIN(scenario) OVER (PARTITION BY icd9cm)
    )
    GROUP BY ALL
),

crosswalk AS (
    -- ASSUME of several categories the one with most ICD-10 codes, of equals the first by name
    -- (93 in 100 ICD-9 codes have but one).
    SELECT DISTINCT code, category
    FROM (
        FROM alternatives
        QUALIFY ROW_NUMBER() OVER (
            PARTITION BY code, choice_list ORDER BY votes DESC, category
        ) = 1
    )
)

SELECT codes.episode_id, codes.icd_version, codes.code, crosswalk.category
FROM codes
LEFT JOIN crosswalk USING (code)
WHERE codes.icd_version = 9
UNION ALL
SELECT
    episode_id,
    icd_version,
    code,
    CASE WHEN REGEXP_MATCHES(code, '^[A-Z][0-9][0-9A-Z]') THEN LEFT(code, 3) END AS category
FROM codes
WHERE icd_version IS DISTINCT FROM 9
ORDER BY ALL
