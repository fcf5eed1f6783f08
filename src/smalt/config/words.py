"""What a word that settings do not know was meant to be."""

from difflib import SequenceMatcher, get_close_matches

# Words of other tools (LiteLLM, the Azure and OpenAI SDKs, proxies), earlier habits and near misses that no
# spelling check finds.
OTHER_WORDS = {
    "accounts": "resources",
    "algorithm": "strategy",
    "aliases": "models",
    "allowed_fails": "breaker.failures",
    "api_base": "endpoint",
    "api_base_url": "endpoint",
    "api_key": "api_keys",
    "audience": "scope",
    "auth": "identity",
    "authentication": "identity",
    "authority_host": "authority",
    "azure": "resources",
    "azure_ad_token": "identity",
    "azure_ad_token_provider": "identity",
    "azure_deployment": "deployments",
    "azure_endpoint": "endpoint",
    "backends": "resources",
    "base_model": "model",
    "base_url": "endpoint",
    "budget_duration": "per",
    "ca_bundle": "network.ca_file",
    "cache_params": "cache",
    "capacity": "quota_tpm",
    "certificate": "certificate_file",
    "certificate_path": "certificate_file",
    "circuit_breaker": "breaker",
    "client": "client_id",
    "context_window_fallbacks": "fallbacks",
    "cooldown_time": "breaker.open_s",
    "credential": "identity",
    "database_url": "store",
    "default_fallbacks": "fallbacks",
    "deployment": "deployments",
    "deployment_id": "deployments",
    "deployment_name": "deployments",
    "drop_params": "adapt",
    "endpoints": "resources",
    "engine": "deployments",
    "failover": "fallbacks",
    "functions": "tools",
    "general_settings": "gateway",
    "host": "endpoint",
    "http_proxy": "network.proxy",
    "https_proxy": "network.proxy",
    "input_cost_per_token": "input_usd",
    "instances": "resources",
    "key": "api_keys",
    "keys": "api_keys",
    "lb_strategy": "strategy",
    "litellm_params": "deployments",
    "litellm_settings": "retry",
    "load_balancing": "strategy",
    "location": "region",
    "log_level": "observe.log",
    "logging": "observe",
    "managed_identity": "identity",
    "managed_identity_client_id": "client_id",
    "master_key": "gateway.admin_key",
    "max_budget": "budgets",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "max_retries": "retry.max_attempts",
    "model_group_alias": "models",
    "model_info": "deployments",
    "model_list": "deployments",
    "model_name": "model",
    "num_retries": "retry.max_attempts",
    "order": "route",
    "output_cost_per_token": "output_usd",
    "port": "listen",
    "priority": "route",
    "providers": "resources",
    "redis_host": "shared_limits",
    "redis_url": "shared_limits",
    "region_name": "region",
    "request_timeout": "timeouts.total_s",
    "resource_id": "azure_id",
    "retries": "retry.max_attempts",
    "retry_policy": "retry",
    "router_settings": "models",
    "routing_strategy": "strategy",
    "rpm": "quota_rpm",
    "scopes": "scope",
    "secret": "client_secret",
    "server": "gateway",
    "sku_name": "sku",
    "ssl_verify": "network.ca_file",
    "stream_timeout": "timeouts.stream_first_byte_s",
    "subscription_id": "azure_id",
    "system": "instructions",
    "system_message": "instructions",
    "system_prompt": "instructions",
    "targets": "route",
    "temp": "temperature",
    "tenant": "tenant_id",
    "timeout": "timeouts.total_s",
    "tpm": "quota_tpm",
    "tpm_limit": "limit_tpm",
    "ttl": "ttl_s",
    "type": "kind",
    "upstreams": "deployments",
    "url": "endpoint",
    "verify_ssl": "network.ca_file",
    "virtual_keys": "gateway.keys",
}

# The sections of its config.yaml.
LITELLM = frozenset({"general_settings", "litellm_settings", "model_list", "router_settings"})

OTHER_VALUES = {
    "azure_cli": "cli",
    "entra": "default",
    "latency-based-routing": "least_latency",
    "least-busy": "least_loaded",
    "msi": "managed_identity",
    "service_principal": "client_secret",
    "simple-shuffle": "weighted",
    "usage-based-routing": "least_loaded",
    "usage-based-routing-v2": "least_loaded",
}

_SLIP = 0.8


def suggest(word: str, fields: list[str]) -> str | None:
    """The key most likely meant: another tool's word for a field here, a near miss, or one elsewhere."""
    target = OTHER_WORDS.get(word.lower())
    here = (target or "").rpartition(".")[2]
    if here in fields:
        return here
    close = get_close_matches(word.lower(), fields, n=1)
    return close[0] if close else target


def is_near(word: str, other: str | None) -> bool:
    """Whether they differ by a slip of the pen."""
    return other is not None and SequenceMatcher(None, word.lower(), other).ratio() > _SLIP
