# The controller's image: one program, certificate authorities, and nothing else. docs/decisions/image.md says why it is built like this.
FROM rust:1.94-slim-bookworm AS build
WORKDIR /build
COPY . .
# Dependencies and objects stay in the builder's cache between builds.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --locked --release --bin windlass && cp target/release/windlass /windlass

FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="windlass" \
      org.opencontainers.image.description="Windows automation workflows as Kubernetes resources, run by AWS Step Functions and Systems Manager" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /windlass /usr/local/bin/windlass
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/usr/local/bin/windlass"]
CMD ["controller"]
