"""Verifies, explains or surveys many blocks with Apache Spark. Needs `pip install braid-evm[spark]` and Java.

The command is `braid-spark`; from Python:

    from braid_evm.spark.job import Job, run
    run(Job("verify", "blocks", "verified"), spark)

docs/SPARK.md says what they do. Nothing is imported here, so that the command can say what is missing.
"""
