"""An OpenAI- and Azure-OpenAI-compatible endpoint over one fleet of upstreams."""
