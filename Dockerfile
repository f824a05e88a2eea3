# The controller's image: what it runs on, the locked dependencies, the program, and nothing else; no
# shell is needed, here or when it runs. Both stages take the same minor version of Python.
#
# BASE_IMAGE has pip, RUNTIME_IMAGE need not have it. The default one has a shell all the same; one
# without is gcr.io/distroless/python3-debian13.
ARG BASE_IMAGE=docker.io/library/python:3.13-slim-bookworm
ARG RUNTIME_IMAGE=${BASE_IMAGE}

FROM ${BASE_IMAGE} AS build
# Where pip finds what is locked; they are in no layer. Without them it asks PyPI.
ARG PIP_FIND_LINKS
ARG PIP_NO_INDEX
ARG PIP_CERT
# There is no git in here to ask.
ARG VERSION
ENV SETUPTOOLS_SCM_PRETEND_VERSION=${VERSION} PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/build.txt requirements/tracing.txt requirements/
RUN ["python3", "-m", "pip", "install", "--quiet", "--require-hashes", "--target=/build", \
     "--requirement=requirements/build.txt"]
ENV PYTHONPATH=/build
RUN ["python3", "-m", "pip", "install", "--quiet", "--require-hashes", "--target=/opt/app", \
     "--no-compile", "--no-build-isolation", "--requirement=requirements/tracing.txt"]
COPY pyproject.toml README.md LICENSE ./
COPY workflowexecution workflowexecution
RUN ["python3", "-m", "pip", "install", "--quiet", "--target=/opt/app", "--no-compile", \
     "--no-deps", "--no-build-isolation", "--no-index", "."]
# The root of a pod is read-only, and a file's time must not decide what an image is.
RUN ["python3", "-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", "/opt/app"]

FROM ${RUNTIME_IMAGE}
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="workflowexecution" \
      org.opencontainers.image.description="Runs one Tekton PipelineRun per WorkflowExecution, safely" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/app /opt/app
ENV PYTHONPATH=/opt/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /
EXPOSE 8081 9090
ENTRYPOINT ["python3", "-P", "-m", "workflowexecution"]
