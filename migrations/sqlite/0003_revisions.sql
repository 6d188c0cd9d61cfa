-- The accepted plans of a deployment, the newest first. The twin in ../postgres has the same index.

CREATE INDEX revision_of_deployment ON revision (deployment, seq);
