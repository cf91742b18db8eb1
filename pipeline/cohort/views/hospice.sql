-- Who is sent to die elsewhere, and counts as a survivor of this admission: one row per admission
-- of the source. 'HOSPICE' is the one value of MIMIC-IV's discharge_location that says so. Whose
-- death is recorded all the same is a positive (hospital_deaths.sql), and none of them.
-- Tables: admissions. Views: hospital_deaths.

SELECT
    hadm_id,
    COALESCE(UPPER(admissions.discharge_location) LIKE '%HOSPICE%', FALSE)
    AND NOT hospital_deaths.died AS to_hospice
FROM admissions
INNER JOIN hospital_deaths USING (hadm_id)
