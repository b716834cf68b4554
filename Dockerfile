# One image per program, all from one build: docker build --target ticket-service .
# They run as a user without rights, from a root file system that may be read-only.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The cache of the target folder is one for all checkouts of this machine, and cargo goes by the times of files: without new ones, a
# checkout of older files would get the programs of the one that was built before it.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --release --locked -p ticket-service -p assistant-service -p groq-sim -p gateway \
    && mkdir -p /out /state \
    && cd target/release && cp ticket-service assistant-service groq-sim gateway /out/

# Has glibc and CA certificates, and no shell.
FROM gcr.io/distroless/cc-debian12:nonroot AS program
USER 65532:65532

FROM program AS ticket-service
COPY --from=build /out/ticket-service /usr/local/bin/ticket-service
# The desk's secret and the signing keys; a volume that is mounted here takes over its owner.
COPY --from=build --chown=65532:65532 /state /var/lib/deskhand
ENV TICKET_SERVICE_ADDR=0.0.0.0:50051 \
    TICKET_OPS_ADDR=0.0.0.0:9101 \
    DESKHAND_SECRET_FILE=/var/lib/deskhand/secret \
    SIGNING_KEYS_DIR=/var/lib/deskhand/keys
EXPOSE 50051 9101
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["/usr/local/bin/ticket-service", "health"]
ENTRYPOINT ["/usr/local/bin/ticket-service"]
CMD ["serve"]

FROM program AS assistant-service
COPY --from=build /out/assistant-service /usr/local/bin/assistant-service
ENV ASSISTANT_SERVICE_ADDR=0.0.0.0:50052
EXPOSE 50052
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["/usr/local/bin/assistant-service", "health"]
ENTRYPOINT ["/usr/local/bin/assistant-service"]

FROM envoyproxy/envoy:v1.40.0 AS envoy

# The program writes what Envoy reads, from its settings, and becomes Envoy.
FROM program AS gateway
COPY --from=envoy /usr/local/bin/envoy /usr/local/bin/envoy
COPY --from=build /out/gateway /usr/local/bin/gateway
COPY --from=build --chown=65532:65532 /state /run/gateway
ENV GATEWAY_ADDR=0.0.0.0:8080 \
    GATEWAY_DIR=/run/gateway \
    ENVOY_BIN=/usr/local/bin/envoy
EXPOSE 8080
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["/usr/local/bin/gateway", "health"]
ENTRYPOINT ["/usr/local/bin/gateway"]
CMD ["run"]

FROM program AS groq-sim
COPY --from=build /out/groq-sim /usr/local/bin/groq-sim
ENV GROQ_SIM_ADDR=0.0.0.0:50055
EXPOSE 50055
ENTRYPOINT ["/usr/local/bin/groq-sim"]
