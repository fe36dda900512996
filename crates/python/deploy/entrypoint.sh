#!/bin/sh
# What a container of the image runs: `driver` and `executor` are how Spark on Kubernetes starts its pods; anything else
# are arguments of braid-spark.
set -eu

bin=/opt/braid-spark/bin
case "${1:-}" in
driver)
    shift
    exec "$bin/spark-submit" --deploy-mode client \
        --conf "spark.driver.bindAddress=$SPARK_DRIVER_BIND_ADDRESS" \
        --conf "spark.executorEnv.SPARK_DRIVER_POD_IP=$SPARK_DRIVER_BIND_ADDRESS" "$@"
    ;;
executor)
    home=$("$bin/python" -c 'import os, pyspark; print(os.path.dirname(pyspark.__file__))')
    # Spark hands over Java's options one by one: SPARK_JAVA_OPT_0 and so on.
    set -- -Xms"$SPARK_EXECUTOR_MEMORY" -Xmx"$SPARK_EXECUTOR_MEMORY"
    number=0
    while option=$(printenv "SPARK_JAVA_OPT_$number"); do
        set -- "$@" "$option"
        number=$((number + 1))
    done
    exec java "$@" -cp "${SPARK_CLASSPATH:-}:$home/jars/*" \
        org.apache.spark.scheduler.cluster.k8s.KubernetesExecutorBackend \
        --driver-url "$SPARK_DRIVER_URL" --executor-id "$SPARK_EXECUTOR_ID" --cores "$SPARK_EXECUTOR_CORES" \
        --app-id "$SPARK_APPLICATION_ID" --hostname "$SPARK_EXECUTOR_POD_IP" \
        --resourceProfileId "$SPARK_RESOURCE_PROFILE_ID" --podName "$SPARK_EXECUTOR_POD_NAME"
    ;;
*)
    exec "$bin/braid-spark" "$@"
    ;;
esac
